//! What mqrr is to do: plain data, made of the options.

use std::time::Duration;

use super::matching::{CorrelationData, Exchange, Rule};
use crate::client::{ClientPlan, Policy};
use crate::mqtt::wire::SubscribeFilter;
use crate::mqtt::{
    Message, Properties, Property, PropertyName, PropertyValue, ProtocolVersion, check_sent_topic_name,
    check_topic_name,
};
use crate::options::{
    CommandProperties, Environment, InputOptions, MessageOptions, REQUEST, RequestOptions, ResponseOptions, UsageError,
    fault_of_plan,
};
use crate::publish::PayloadSource;
use crate::subscribe::format::Printer;
use crate::subscribe::{handling_of_retained, printer};

/// Where responses are expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseTopic {
    /// `-e`.
    Given(String),
    /// A unique name, from which a topic is made.
    Own(String),
}

impl ResponseTopic {
    /// The topic. One of our own begins with the Response Information of the broker (5.0 §3.2.2.3.15), which is where
    /// it allows us to subscribe, if it gave any that can begin a topic.
    pub fn topic(&self, response_information: Option<&str>) -> String {
        match (self, response_information) {
            (Self::Given(topic), _) => topic.clone(),
            (Self::Own(name), Some(start)) if check_topic_name(start).is_ok() => {
                format!("{}/{name}", start.strip_suffix('/').unwrap_or(start))
            }
            (Self::Own(name), _) => format!("mqrr/{name}"),
        }
    }
}

/// What mqrr is to do.
#[derive(Clone, Debug)]
pub struct RequestPlan {
    /// The broker, and what every client does.
    pub client: ClientPlan,
    /// Topic, QoS and properties of every request; its payload is empty, and response topic and correlation data are
    /// missing.
    pub request: Message,
    /// Where payloads come from.
    pub source: PayloadSource,
    /// How many times the request is sent; 1 with lines.
    pub repeat: u64,
    /// Least time between a response and the next request.
    pub repeat_delay: Duration,
    /// Where responses are expected.
    pub response_topic: ResponseTopic,
    /// The subscription to it, but for its filter.
    pub subscription: SubscribeFilter,
    /// Properties of SUBSCRIBE.
    pub subscribe_properties: Properties,
    /// Which messages are responses.
    pub exchange: Exchange,
    /// How they are printed.
    pub printer: Printer,
    /// `--latency`.
    pub latency: bool,
    /// `-W`.
    pub timeout: Option<Duration>,
}

impl RequestPlan {
    /// What the options mean.
    ///
    /// # Errors
    /// All faults at once.
    pub fn new(options: &RequestOptions, environment: &Environment) -> Result<Self, UsageError> {
        let plan = Self::of_options(options, environment);
        plan.map_err(|error| fault_of_plan(error, &options.general, Some(&options.message), environment))
    }

    fn of_options(options: &RequestOptions, environment: &Environment) -> Result<Self, UsageError> {
        let RequestOptions { message, response, output, client, general } = options;
        let policy = &general.policy;
        let refused = |faults| UsageError::new(REQUEST.name, faults);
        let (mut client, commands, printer) = client.plan_with(general, &REQUEST, environment, printer(output))?;
        client.connect.session.subscribes_first = true;
        let CommandProperties { mut publish, subscribe, disconnect: _, connect: _, will: _, unsubscribe: _ } = commands;
        let version = client.connect.session.version;
        let response_topic =
            response_topic(response, &mut publish, environment).map_err(|fault| refused(vec![fault]))?;
        if matches!(response_topic, ResponseTopic::Own(_)) && version.is_v5() {
            let asked = Property::new(PropertyName::RequestResponseInformation, PropertyValue::Byte(1));
            asked.into_iter().for_each(|property| client.connect.session.connect_properties.push_default(property));
        }
        let MessageOptions { topic, qos, repeat, repeat_delay, stdin_line, .. } = message;
        if publish.binary(PropertyName::CorrelationData).is_some()
            && (*repeat > 1 || *stdin_line)
            && policy.matches_responses
        {
            let fault = "responses to several requests with the same correlation-data cannot be matched: omit -D publish correlation-data; each request then gets its own";
            return Err(refused(vec![fault.to_owned()]));
        }
        // The last one, where an options file has one too.
        let topic = topic.last().cloned().or_else(|| client.connect.topic_of_url.clone()).unwrap_or_default();
        if matches!(&response_topic, ResponseTopic::Given(response) if *response == topic) && policy.matches_responses {
            let fault = "-t and -e are the same topic: the request would be its own response".to_owned();
            return Err(refused(vec![fault]));
        }
        let exchange = exchange(response, version, policy, &mut publish, environment);
        Ok(Self {
            request: Message { topic, qos: *qos, properties: publish, ..Message::default() },
            source: PayloadSource::of(message, &InputOptions::default(), false),
            repeat: *repeat,
            repeat_delay: *repeat_delay,
            subscription: SubscribeFilter {
                qos: *qos,
                retain_as_published: response.retain_as_published,
                retain_handling: handling_of_retained(response.retain_handling, response.no_retained, version),
                ..SubscribeFilter::default()
            },
            response_topic,
            subscribe_properties: subscribe,
            exchange,
            printer,
            latency: response.latency,
            timeout: response.timeout,
            client,
        })
    }
}

/// `-D publish response-topic` means the same as `-e`.
fn response_topic(
    response: &ResponseOptions,
    publish: &mut Properties,
    environment: &Environment,
) -> Result<ResponseTopic, String> {
    let of_property = publish.text(PropertyName::ResponseTopic).map(str::to_owned);
    publish.remove(PropertyName::ResponseTopic);
    match (&response.response_topic, of_property) {
        (Some(_), Some(_)) => Err("-e and -D publish response-topic set the same property: remove one of them".into()),
        (None, Some(topic)) => match check_sent_topic_name(&topic) {
            Ok(()) => Ok(ResponseTopic::Given(topic)),
            Err(error) => Err(format!("invalid response topic '{topic}': {error}")),
        },
        (Some(topic), None) => Ok(ResponseTopic::Given(topic.clone())),
        (None, None) => Ok(ResponseTopic::Own(environment.random_letters())),
    }
}

fn exchange(
    response: &ResponseOptions,
    version: ProtocolVersion,
    policy: &Policy,
    publish: &mut Properties,
    environment: &Environment,
) -> Exchange {
    let ResponseOptions { count, no_correlation_check, no_retained, retain_as_published, .. } = response;
    if !policy.matches_responses {
        return Exchange::new(Rule::Any, None, *no_retained, *count);
    }
    let given = publish.binary(PropertyName::CorrelationData).cloned().map(CorrelationData::Given);
    publish.remove(PropertyName::CorrelationData);
    let names = given.unwrap_or_else(|| CorrelationData::Numbered(environment.random_letters()));
    let rule = match version.is_v5() && !no_correlation_check {
        true => Rule::Correlation,
        false => Rule::Topic { retain_as_published: *retain_as_published },
    };
    // What the user gave may be on a response of an earlier run, which only the flag distinguishes from ours.
    let given = matches!(names, CorrelationData::Given(_)) && rule == Rule::Correlation;
    let drops_retained = *no_retained || (given && !retain_as_published);
    Exchange::new(rule, version.is_v5().then_some(names), drops_retained, *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_of_our_own_begins_where_the_broker_says() {
        let own = ResponseTopic::Own("abc".into());
        assert_eq!(own.topic(None), "mqrr/abc");
        assert_eq!(own.topic(Some("answers/me")), "answers/me/abc");
        assert_eq!(own.topic(Some("answers/")), "answers/abc");
        // Not to be subscribed to exactly.
        assert_eq!(own.topic(Some("answers/#")), "mqrr/abc");
        assert_eq!(own.topic(Some("")), "mqrr/abc");
        assert_eq!(ResponseTopic::Given("e".into()).topic(Some("answers")), "e");
    }
}
