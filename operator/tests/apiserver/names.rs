//! The API server and the program have the same rules for ids, names, addresses and numbers.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::harness::{Failure, KAFKA, Suite, Verdict, expect, stock, workflow};

/// Calls that run at the same time.
const AT_ONCE: usize = 8;

/// A rule, and its field.
struct Rule {
    kind: &'static str,
    field: &'static str,
    program: fn(&str) -> bool,
}

const RULES: [Rule; 11] = [
    Rule { kind: "products", field: "id", program: kbnt_rules::is_product_id },
    Rule { kind: "products", field: "name", program: kbnt_rules::is_name },
    Rule { kind: "users", field: "id", program: kbnt_rules::is_user_id },
    Rule { kind: "users", field: "name", program: kbnt_rules::is_name },
    Rule { kind: "users", field: "email", program: kbnt_rules::is_email },
    Rule { kind: "payment", field: "url", program: kbnt_rules::is_base_url },
    Rule { kind: "webhook", field: "url", program: kbnt_rules::is_url },
    Rule { kind: "checkpoints", field: "url", program: kbnt_rules::is_bucket_url },
    Rule { kind: "kafka", field: "bootstrapServers", program: kbnt_rules::is_servers },
    Rule { kind: "products", field: "lowStockThreshold", program: is_threshold },
    Rule { kind: "stock", field: "lowStockThreshold", program: is_threshold },
];

fn is_threshold(text: &str) -> bool {
    text.parse::<u64>().is_ok_and(|units| units <= kbnt_rules::UNITS_MOST)
}

/// Pieces of the texts: one of each kind of character that a rule may treat differently.
const PIECES: [&str; 30] = [
    "",
    "a",
    "Z",
    "9",
    ".",
    "-",
    "_",
    "@",
    "summary",
    "..",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{9f}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    "\u{200b}",
    "\u{feff}",
    "ü",
    "東",
    "\u{1f600}",
    "e\u{301}",
    "'",
    "\\",
    "/",
];

/// Pieces of the addresses.
const ADDRESS_PIECES: [&str; 20] = [
    "", "a", "9", ".", "-", "_", "@", "xn--", "XN--", "[", "]", "[::1]", "1.2.3.4", ":", ":80", "%", "?",
    "#", "\\", ",",
];

/// Texts of up to three pieces, and long ones near the limits.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    for one in PIECES {
        texts.extend([
            format!("a{one}"),
            format!("{one}b"),
            format!("a{one}b"),
            format!("a{one}@b"),
            format!("a@b{one}"),
            format!("s3://shop{one}"),
            format!("s3://{one}shop/a"),
            format!("s3://shop/{one}"),
            format!("s3://shop/a/{one}b/"),
        ]);
    }
    for length in [2, 3, 63, 64] {
        texts.extend([511, 512, 513].map(|more| format!("s3://{}/{}", "a".repeat(length), "b".repeat(more))));
    }
    for (one, other) in ADDRESS_PIECES.into_iter().flat_map(|one| ADDRESS_PIECES.map(|other| (one, other))) {
        texts.push(format!("http://{one}{other}"));
    }
    for one in ADDRESS_PIECES {
        texts.extend([
            format!("http://h{one}"),
            format!("https://a.{one}.b:1/c"),
            format!("http://h/{one}"),
            format!("{one}h:1"),
            format!("a:1,b{one}:2"),
            format!("a{one}:65535"),
        ]);
    }
    let bounds = [0, 1, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, i64::MAX];
    texts.extend(bounds.map(|number| number.to_string()));
    texts.extend((-3..20).map(|number: i64| number.to_string()));
    for piece in ["a", "ü", "東", "\u{1f600}"] {
        for count in [63, 64, 65, 199, 200, 201] {
            texts.push(piece.repeat(count));
        }
        // An address of this many bytes.
        for bytes in [253, 254, 255] {
            let tail = bytes - 2;
            let head = piece.repeat(tail / piece.len());
            texts.push(format!("{head}{}@x", "b".repeat(tail - head.len())));
        }
    }
    texts.sort();
    texts.dedup();
    texts
}

/// A number for a number field, otherwise the text.
fn value(rule: &Rule, text: &str) -> Value {
    let number = text.parse::<i64>().ok().filter(|_| rule.field == "lowStockThreshold");
    number.map_or_else(|| text.into(), Value::from)
}

/// An object in which only this text may be wrong.
fn object(rule: &Rule, text: &str) -> Result<(Value, &'static str), Failure> {
    if matches!(rule.kind, "stock" | "kafka") {
        let mut object = serde_json::to_value(stock("a", KAFKA)?)?;
        if rule.kind == "kafka" {
            object["spec"]["kafka"] = json!({rule.field: text});
        } else {
            object["spec"][rule.field] = value(rule, text);
        }
        return Ok((object, "virtualstocks"));
    }
    if rule.kind == "checkpoints" {
        let mut object = serde_json::to_value(stock("a", KAFKA)?)?;
        object["spec"]["checkpoints"] = json!({"objectStore": {"url": text}});
        return Ok((object, "virtualstocks"));
    }
    if rule.kind == "products" {
        let mut object = serde_json::to_value(stock("a", KAFKA)?)?;
        let mut product = json!({"id": "P", "name": "x", "unitPrice": "1", "received": 1});
        product[rule.field] = value(rule, text);
        object["spec"]["products"] = json!([product]);
        return Ok((object, "virtualstocks"));
    }
    let mut object = serde_json::to_value(workflow()?)?;
    if rule.kind == "payment" {
        object["spec"]["payment"] = json!({"http": {"url": text}});
        return Ok((object, "orderworkflows"));
    }
    if rule.kind == "webhook" {
        object["spec"]["notification"] = json!({"webhook": {"url": text, "secretRef": {"name": "s"}}});
        return Ok((object, "orderworkflows"));
    }
    let mut user = json!({"id": "U", "name": "x", "email": "a@b"});
    user[rule.field] = text.into();
    object["spec"]["users"]["declared"] = json!([user]);
    Ok((object, "orderworkflows"))
}

async fn admits(suite: &Suite, rule: &Rule, text: &str) -> Result<bool, Failure> {
    let (object, plural) = object(rule, text)?;
    let path =
        format!("/apis/kbnt.dev/v1alpha1/namespaces/default/{plural}?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    match suite.client.request::<Value>(request).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn the_api_server_and_the_program_have_the_same_rules(suite: &Suite) -> Verdict {
    let texts = texts();
    for rule in &RULES {
        let right = texts.iter().filter(|text| (rule.program)(text)).count();
        expect(right > 10 && right < texts.len() - 10, || format!("{} are right of {}", right, rule.field))?;
        let differing: Vec<String> = stream::iter(&texts)
            .map(|text| async move {
                let (program, server) = ((rule.program)(text), admits(suite, rule, text).await?);
                Ok::<_, Failure>(
                    (program != server).then(|| format!("{text:?}: program {program}, API server {server}")),
                )
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|differing| async { Ok(differing) })
            .try_collect()
            .await?;
        expect(differing.is_empty(), || {
            format!("{} of {}: {}", rule.field, rule.kind, differing.join("\n"))
        })?;
    }
    Ok(())
}
