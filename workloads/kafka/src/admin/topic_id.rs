//! Reads the ids of topics, which needs the right Describe only.
#![allow(
    unsafe_code,
    reason = "librdkafka returns topic ids, but the rdkafka crate (0.39) does not wrap the call; this module contains that call and nothing else"
)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr::null_mut;
use std::time::Duration;

use kbnt_application::intact::TopicId;
use rdkafka::bindings as sys;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

/// An object of librdkafka that is freed on drop.
struct Owned<T> {
    pointer: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, free: unsafe extern "C" fn(*mut T)) -> KafkaResult<Self> {
        if pointer.is_null() { Err(failed(Code::Fail)) } else { Ok(Self { pointer, free }) }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `pointer` is not null, came from librdkafka to be freed by `free`, and is not used any more.
        unsafe { (self.free)(self.pointer) }
    }
}

const fn failed(code: Code) -> KafkaError {
    KafkaError::MetadataFetch(code)
}

/// Asks the cluster for the id of `topic`, and waits at most `timeout` for the answer. The request does not create the topic.
pub fn of<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> KafkaResult<TopicId> {
    of_all(client, &[topic], timeout)?.remove(topic).unwrap_or(Err(failed(Code::UnknownTopicOrPartition)))
}

/// Asks the cluster for the ids of these topics in one request, and waits at most `timeout` for the answer. The request does not
/// create a topic. A topic that is not there has an error of its own.
pub(crate) fn of_all<C: ClientContext>(
    client: &Client<C>,
    topics: &[impl AsRef<str>],
    timeout: Duration,
) -> KafkaResult<HashMap<String, KafkaResult<TopicId>>> {
    let names = topics.iter().map(|topic| CString::new(topic.as_ref())).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(KafkaError::Nul)?;
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: `rk` lives as long as `client`. Every object created here is freed when it goes out of scope, the event first, and nothing
    // that belongs to the event is used after it. The names outlive the collection, which copies them anyway.
    unsafe {
        let queue = Owned::new(sys::rd_kafka_queue_new(rk), sys::rd_kafka_queue_destroy)?;
        let options =
            sys::rd_kafka_AdminOptions_new(rk, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        let options = Owned::new(options, sys::rd_kafka_AdminOptions_destroy)?;
        // A timeout out of range leaves the default, and the poll of the queue below ends in time anyway.
        let _ = sys::rd_kafka_AdminOptions_set_request_timeout(options.pointer, milliseconds, null_mut(), 0);
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let topics = Owned::new(topics, sys::rd_kafka_TopicCollection_destroy)?;
        sys::rd_kafka_DescribeTopics(rk, topics.pointer, options.pointer, queue.pointer);
        let event = sys::rd_kafka_queue_poll(queue.pointer, milliseconds);
        if event.is_null() {
            return Err(failed(Code::OperationTimedOut));
        }
        let event = Owned::new(event, sys::rd_kafka_event_destroy)?;
        checked(sys::rd_kafka_event_error(event.pointer))?;
        described(sys::rd_kafka_event_DescribeTopics_result(event.pointer))
    }
}

/// Reads the ids from an answer, by the names of their topics.
///
/// # Safety
/// `answer` is null, or belongs to an event that is not freed yet.
unsafe fn described(
    answer: *const sys::rd_kafka_DescribeTopics_result_t,
) -> KafkaResult<HashMap<String, KafkaResult<TopicId>>> {
    if answer.is_null() {
        return Err(failed(Code::BadMessage));
    }
    let mut count = 0;
    // SAFETY: the caller guarantees that `answer` is valid; the array has `count` elements, none of which is null, and each has a name.
    unsafe {
        let topics = sys::rd_kafka_DescribeTopics_result_topics(answer, &raw mut count);
        if topics.is_null() {
            return Ok(HashMap::new());
        }
        let named = |&topic: &*const sys::rd_kafka_TopicDescription_t| {
            let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
            (name.to_string_lossy().into_owned(), id(topic))
        };
        Ok(std::slice::from_raw_parts(topics, count).iter().map(named).collect())
    }
}

/// Reads the id of one topic.
///
/// # Safety
/// `topic` is not null, and belongs to an event that is not freed yet.
unsafe fn id(topic: *const sys::rd_kafka_TopicDescription_t) -> KafkaResult<TopicId> {
    // SAFETY: the caller guarantees that `topic` is valid, and what is read from it lives as long.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            checked(sys::rd_kafka_error_code(error))?;
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Err(failed(Code::UnsupportedFeature));
        }
        let (most, least) =
            (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id));
        let bits = u128::from(most.cast_unsigned()) << 64 | u128::from(least.cast_unsigned());
        Ok(TopicId::from_bytes(bits.to_be_bytes()))
    }
}

fn checked(code: sys::rd_kafka_resp_err_t) -> KafkaResult<()> {
    if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        Ok(())
    } else {
        Err(failed(code.into()))
    }
}
