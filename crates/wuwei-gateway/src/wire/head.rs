//! What every head of a request must keep to, whoever is asked.

use http::request::Parts as Head;
use http::{StatusCode, Version, header};

use super::Answer;

/// Largest head of a request, in bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Refuses a head that is too large, or does not say once which host is asked.
/// <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>
pub(crate) fn check_head(head: &Head) -> Result<(), Answer> {
    if size_of(head) > HEAD_BYTES_MAX {
        let text = format!("The head of a request must not be larger than {HEAD_BYTES_MAX} bytes");
        return Err(Answer::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "text/plain", text));
    }
    let hosts = head.headers.get_all(header::HOST).iter().count();
    let may_be_absent = head.version <= Version::HTTP_10;
    match hosts {
        1 => Ok(()),
        0 if may_be_absent => Ok(()),
        0 => Err(Answer::new(StatusCode::BAD_REQUEST, "text/plain", "A request must have a Host header")),
        _several => Err(Answer::new(StatusCode::BAD_REQUEST, "text/plain", "A request must have one Host header")),
    }
}

/// As it came, but for white space that is not needed.
fn size_of(head: &Head) -> usize {
    const LINE_ENDS: usize = "  HTTP/1.1\r\n\r\n".len();
    let target = head.uri.path_and_query().map_or(1, |target| target.as_str().len());
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ":\r\n".len());
    head.method.as_str().len() + target + LINE_ENDS + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::{HEAD_BYTES_MAX, check_head};
    use http::{Request, Version};

    fn status(version: Version, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri("/healthz").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        check_head(&head).map_or_else(|refused| refused.status.as_u16(), |()| 200)
    }

    #[test]
    fn a_head_names_one_host() {
        assert_eq!(status(Version::HTTP_11, &[("host", "a")]), 200);
        assert_eq!(status(Version::HTTP_11, &[]), 400);
        assert_eq!(status(Version::HTTP_11, &[("host", "a"), ("host", "a")]), 400);
        assert_eq!(status(Version::HTTP_10, &[]), 200);
        assert_eq!(status(Version::HTTP_10, &[("host", "a"), ("host", "b")]), 400);
    }

    #[test]
    fn the_size_of_a_head_counts_all_of_it() {
        let rest = "GET /healthz HTTP/1.1\r\nhost:a\r\nx:\r\n\r\n".len();
        let longest = "v".repeat(HEAD_BYTES_MAX - rest);
        assert_eq!(status(Version::HTTP_11, &[("host", "a"), ("x", &longest)]), 200);
        assert_eq!(status(Version::HTTP_11, &[("host", "a"), ("x", &format!("{longest}v"))]), 431);
    }
}
