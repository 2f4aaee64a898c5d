//! Host names of function URLs: `<id>.lambda-url.<region>.<domain>`.

use http::request::Parts as Head;
use http::{Uri, header};
use uuid::Uuid;

use crate::gateway::GatewayOptions;

/// Characters of an id.
const ID_LENGTH: usize = 32;
const ID_ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A new id. Random: whoever knows the account or the function does not know its URL.
pub(crate) fn new_id() -> String {
    let mut id = String::with_capacity(ID_LENGTH);
    while id.len() < ID_LENGTH {
        let mut number = Uuid::new_v4().as_u128();
        // Half of the id: 36^16 possibilities out of 122 random bits.
        for _ in 0..ID_LENGTH / 2 {
            let digit = usize::try_from(number % 36).unwrap_or_default();
            id.push(char::from(ID_ALPHABET[digit]));
            number /= 36;
        }
    }
    id
}

/// The URL of an id, with a final slash.
pub(crate) fn address(options: &GatewayOptions, id: &str) -> String {
    let endpoint: Option<Uri> = options.public_endpoint.parse().ok();
    let port = endpoint.and_then(|endpoint| endpoint.port_u16()).filter(|port| *port != 80);
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    format!("http://{id}.{}{port}/", suffix(options))
}

/// The id that a request's host name has, when it is one of a function URL of this server.
pub(crate) fn id_of(options: &GatewayOptions, head: &Head) -> Option<String> {
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head.headers.get(header::HOST)?.to_str().ok()?,
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name).to_ascii_lowercase();
    let id = name.strip_suffix(&suffix(options))?.strip_suffix('.')?;
    (!id.is_empty() && !id.contains('.')).then(|| id.to_owned())
}

fn suffix(options: &GatewayOptions) -> String {
    format!("lambda-url.{}.{}", options.region, options.url_domain)
}

#[cfg(test)]
mod tests {
    use super::{address, id_of, new_id};
    use crate::gateway::tests::options;

    #[test]
    fn ids_are_32_lower_case_letters_and_digits_and_never_the_same() {
        let ids: std::collections::BTreeSet<String> = (0..1_000).map(|_| new_id()).collect();
        assert_eq!(ids.len(), 1_000);
        let is_sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(is_sound)));
    }

    #[test]
    fn addresses_have_the_port_of_the_listener() {
        let mut options = options();
        options.public_endpoint = "http://127.0.0.1:9000".to_owned();
        assert_eq!(address(&options, "id"), "http://id.lambda-url.us-east-1.localhost:9000/");
        options.public_endpoint = "http://[::1]:80".to_owned();
        options.url_domain = "functions.example.com".to_owned();
        assert_eq!(address(&options, "id"), "http://id.lambda-url.us-east-1.functions.example.com/");
    }

    #[test]
    fn only_host_names_of_this_region_and_domain_are_urls() {
        let check = |host: &str, expected: Option<&str>| {
            let (head, ()) = http::Request::builder().header("host", host).body(()).unwrap().into_parts();
            assert_eq!(id_of(&options(), &head).as_deref(), expected, "{host}");
        };
        check("abc.lambda-url.us-east-1.localhost", Some("abc"));
        check("abc.lambda-url.us-east-1.localhost:9000", Some("abc"));
        check("ABC.Lambda-URL.us-east-1.LOCALHOST:9000", Some("abc"));
        check("a.b.lambda-url.us-east-1.localhost", None);
        check(".lambda-url.us-east-1.localhost", None);
        check("lambda-url.us-east-1.localhost", None);
        check("xlambda-url.us-east-1.localhost", None);
        check("abc.lambda-url.eu-west-1.localhost", None);
        check("abc.lambda-url.us-east-1.example.com", None);
        check("127.0.0.1:9000", None);
        check("[::1]:9000", None);
    }
}
