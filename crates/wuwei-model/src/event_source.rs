use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What brings the events of a source to a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSourceMapping {
    /// Twelve digits.
    pub account: String,
    /// For example `us-east-1`.
    pub region: String,
    /// UUID.
    pub id: String,
    /// Name of the function.
    pub function: String,
    /// A version or an alias of the function.
    pub qualifier: Option<String>,
    /// What a deployer said of source, batches, filters and failures, in the words of the API, and what is so where they
    /// said nothing. Checked against the kind of the source.
    pub settings: Map<String, Value>,
    /// Milliseconds since the Unix epoch.
    pub modified_ms: i64,
    /// Up to 50.
    pub tags: BTreeMap<String, String>,
}

/// Kinds of event sources, as far as rules differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventSourceKind {
    /// Amazon SQS, a queue whose name does not end in `.fifo`.
    Queue,
    /// Amazon SQS, one whose name does.
    OrderedQueue,
    /// Amazon Kinesis, or what speaks like it.
    Kinesis,
    /// A stream of a DynamoDB table.
    DynamoDb,
    /// Amazon MSK.
    ManagedKafka,
    /// Kafka by the addresses of its brokers.
    SelfManagedKafka,
    /// Amazon MQ.
    Broker,
    /// A cluster of Amazon DocumentDB.
    DocumentDb,
}

impl EventSourceMapping {
    /// `arn:aws:lambda:<region>:<account>:event-source-mapping:<id>`.
    #[must_use]
    pub fn arn(&self) -> String {
        Self::arn_of(&self.account, &self.region, &self.id)
    }

    /// ARN of the function, with the qualifier if there is one.
    #[must_use]
    pub fn function_arn(&self) -> String {
        let arn = format!("arn:aws:lambda:{}:{}:function:{}", self.region, self.account, self.function);
        match &self.qualifier {
            Some(qualifier) => format!("{arn}:{qualifier}"),
            None => arn,
        }
    }

    /// The source by its ARN; one of brokers' addresses has none.
    #[must_use]
    pub fn source_arn(&self) -> Option<&str> {
        self.settings.get("EventSourceArn").and_then(Value::as_str)
    }

    /// The id that an ARN of this account and region has in it; `None` for another one.
    #[must_use]
    pub fn id_of<'arn>(account: &str, region: &str, arn: &'arn str) -> Option<&'arn str> {
        let prefix = Self::arn_of(account, region, "");
        arn.strip_prefix(prefix.as_str()).filter(|id| !id.contains(':') && !id.contains('/'))
    }

    fn arn_of(account: &str, region: &str, id: &str) -> String {
        format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{id}")
    }
}

impl EventSourceKind {
    /// The kind that an ARN is of; `None` for services that are no event sources.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':').skip(2);
        let service = parts.next()?;
        let resource = parts.nth(2)?;
        match service {
            "sqs" if resource.ends_with(".fifo") => Some(Self::OrderedQueue),
            "sqs" => Some(Self::Queue),
            "kinesis" if resource.starts_with("stream/") => Some(Self::Kinesis),
            "dynamodb" if resource.contains("/stream/") => Some(Self::DynamoDb),
            "kafka" => Some(Self::ManagedKafka),
            "mq" => Some(Self::Broker),
            "rds" if resource.starts_with("cluster:") => Some(Self::DocumentDb),
            _no_source => None,
        }
    }

    /// As messages name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue | Self::OrderedQueue => "SQS",
            Self::Kinesis => "Kinesis",
            Self::DynamoDb => "DynamoDB",
            Self::ManagedKafka => "MSK",
            Self::SelfManagedKafka => "self-managed Kafka",
            Self::Broker => "MQ",
            Self::DocumentDb => "DocumentDB",
        }
    }

    /// Whether it is a stream of shards, which are read in order.
    #[must_use]
    pub fn has_shards(self) -> bool {
        match self {
            Self::Kinesis | Self::DynamoDb => true,
            Self::Queue
            | Self::OrderedQueue
            | Self::ManagedKafka
            | Self::SelfManagedKafka
            | Self::Broker
            | Self::DocumentDb => false,
        }
    }

    /// Whether it is a queue of SQS.
    #[must_use]
    pub fn is_queue(self) -> bool {
        matches!(self, Self::Queue | Self::OrderedQueue)
    }

    /// Whether it is Kafka.
    #[must_use]
    pub fn is_kafka(self) -> bool {
        matches!(self, Self::ManagedKafka | Self::SelfManagedKafka)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventSourceKind, EventSourceMapping};

    #[test]
    fn the_kind_of_a_source_is_in_its_arn() {
        let check = |resource: &str, expected| {
            let arn = format!("arn:aws:{resource}");
            assert_eq!(EventSourceKind::of_arn(&arn), expected, "{arn}");
        };
        check("sqs:us-east-1:000000000000:queue", Some(EventSourceKind::Queue));
        check("sqs:us-east-1:000000000000:queue.fifo", Some(EventSourceKind::OrderedQueue));
        check("kinesis:us-east-1:000000000000:stream/s", Some(EventSourceKind::Kinesis));
        check("kinesis:us-east-1:000000000000:stream/s/consumer/c:1", Some(EventSourceKind::Kinesis));
        check("dynamodb:us-east-1:000000000000:table/t/stream/2026", Some(EventSourceKind::DynamoDb));
        check("dynamodb:us-east-1:000000000000:table/t", None);
        check("kafka:us-east-1:000000000000:cluster/c/1", Some(EventSourceKind::ManagedKafka));
        check("mq:us-east-1:000000000000:broker:b:1", Some(EventSourceKind::Broker));
        check("rds:us-east-1:000000000000:cluster:c", Some(EventSourceKind::DocumentDb));
        check("s3:::bucket", None);
        check("sqs", None);
    }

    #[test]
    fn only_arns_of_the_same_account_and_region_have_an_id() {
        let arn = "arn:aws:lambda:us-east-1:000000000000:event-source-mapping:0f";
        assert_eq!(EventSourceMapping::id_of("000000000000", "us-east-1", arn), Some("0f"));
        assert_eq!(EventSourceMapping::id_of("000000000001", "us-east-1", arn), None);
    }
}
