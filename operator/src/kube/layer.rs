//! Counts requests to the API server, records which watches make progress, and limits how long a request may
//! wait.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{BoxError, Layer, Service};

use crate::health::Health;
use crate::metrics::Metrics;

/// How long the API server may take to begin an answer. It gives up a request after a minute itself, so
/// nobody serves an older one any more, and the object would wait for ever.
const PATIENCE: Duration = Duration::from_secs(75);

/// A client whose requests are counted.
pub fn connect(config: Config, metrics: &Metrics, health: &Health) -> Result<Client, kube::Error> {
    let layer = ApiLayer::new(metrics, health, PATIENCE);
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// The API server did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs())]
struct Silence(Duration);

/// Counts requests to the API server, records which watches make progress, and limits how long a request may
/// wait.
#[derive(Clone)]
pub struct ApiLayer {
    metrics: Metrics,
    health: Health,
    patience: Duration,
}

impl ApiLayer {
    /// Counts in `metrics`, and waits up to `patience` for an answer to begin.
    pub fn new(metrics: &Metrics, health: &Health, patience: Duration) -> Self {
        Self { metrics: metrics.clone(), health: health.clone(), patience }
    }
}

impl<S> Layer<S> for ApiLayer {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Counting { inner, layer: Arc::new(self.clone()) }
    }
}

/// The service that [`ApiLayer`] makes.
#[derive(Clone)]
pub struct Counting<S> {
    inner: S,
    layer: Arc<ApiLayer>,
}

impl<S, B> Service<Request<Body>> for Counting<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.method().clone();
        let resource = resource_of(request.uri().path()).to_owned();
        let query = request.uri().query().unwrap_or_default();
        let watch = query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1");
        let path = watch.then(|| request.uri().path().to_owned());
        let layer = Arc::clone(&self.layer);
        if let Some(path) = &path {
            layer.health.watch_tried(path);
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let silence = |_| Err(Silence(layer.patience).into());
            let answer = tokio::time::timeout(layer.patience, answer).await.unwrap_or_else(silence);
            let code = answer.as_ref().map_or(0, |response| response.status().as_u16());
            if method == Method::GET {
                layer.metrics.api_read(&resource, code);
            } else {
                layer.metrics.api_write(&method, &resource, code);
            }
            if let Some(path) = path
                && (200..300).contains(&code)
            {
                layer.health.watch_answered(&path);
            }
            answer
        })
    }
}

/// The plural of the resource in a path such as `/apis/apps/v1/namespaces/shop/deployments/main`, with its
/// subresource, if any.
fn resource_of(path: &str) -> &str {
    let mut parts = path.trim_matches('/').split('/');
    let group = match parts.next() {
        Some("api") => parts.next(),
        Some("apis") => parts.next().and(parts.next()),
        _ => return "other",
    };
    match (group, parts.next()) {
        (Some(_), Some("namespaces")) => match (parts.next(), parts.next()) {
            (Some(_), Some(plural)) => plural,
            _ => "namespaces",
        },
        (Some(_), Some(plural)) => plural,
        _ => "discovery",
    }
}

#[cfg(test)]
mod tests {
    use super::resource_of;

    #[test]
    fn a_path_names_its_resource() {
        for (path, resource) in [
            ("/apis/apps/v1/namespaces/shop/deployments/main", "deployments"),
            ("/apis/kbnt.dev/v1alpha1/virtualstocks", "virtualstocks"),
            ("/apis/kbnt.dev/v1alpha1/namespaces/shop/virtualstocks/main/status", "virtualstocks"),
            ("/api/v1/namespaces/shop/services/main", "services"),
            ("/apis/kbnt.dev/v1alpha1", "discovery"),
            ("/version", "other"),
        ] {
            assert_eq!(resource_of(path), resource, "{path}");
        }
    }
}
