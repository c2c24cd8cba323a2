//! Users.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kbnt_application::user::{Change, UserMachine};
use kbnt_domain::UserId;
use kbnt_domain::user::{InvalidRegistration, Registration, UnknownUser, User};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::calls::{command_problem, query_problem};
use super::dto::{UserBody, UserPost, UserStatusPut};
use super::params::{Id, Params};
use super::problem::{Code, Problem};
use super::responses::{BadBody, Malformed, NotFound, NotReady};
use kbnt_application::ports::Callable;

type Users = Arc<dyn Callable<UserMachine>>;

/// The routes of user-service.
pub(super) fn routes(users: Users) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(post_user))
        .routes(routes!(get_user))
        .routes(routes!(put_status))
        .with_state(users)
}

fn body(id: &UserId, user: &User) -> UserBody {
    UserBody {
        user_id: id.to_string(),
        name: user.name.clone(),
        email: user.email.clone(),
        status: user.status.into(),
    }
}

fn unknown(UnknownUser(user): &UnknownUser) -> Problem {
    Problem::new(Code::UserNotFound, format!("there is no user {user}"))
}

/// Adds a user, or changes its name and address
#[utoipa::path(post, path = "/v1/users", tag = "users", request_body = UserPost, responses(
    (status = 201, description = "Added", body = UserBody, headers(("Location" = String))),
    (status = 200, description = "Changed, or as it was", body = UserBody), Malformed, BadBody, NotReady))]
async fn post_user(
    State(users): State<Users>,
    params: Params,
    JsonBody(wish): JsonBody<UserPost>,
) -> Result<Response, Problem> {
    params.only(&[])?;
    let id = wish.user_id.clone();
    let registration = Registration::new(wish.user_id, wish.name, wish.email).map_err(|error| {
        let field = match error {
            InvalidRegistration::Id => "userId",
            InvalidRegistration::Name => "name",
            InvalidRegistration::Email => "email",
        };
        Problem::field(field, error.to_string())
    })?;
    let wanted = id.clone();
    let (change, user) = users
        .call(move |machine, outbox| (machine.register(registration, outbox), machine.user(&wanted).cloned()))
        .await
        .map_err(command_problem)?;
    let user = user.ok_or_else(|| unknown(&UnknownUser(id.clone())))?;
    let location: [(HeaderName, String); 1] = [(header::LOCATION, format!("/v1/users/{id}"))];
    let status = match change {
        Change::Created => StatusCode::CREATED,
        Change::Updated | Change::Unchanged => StatusCode::OK,
    };
    Ok((status, location, Json(body(&id, &user))).into_response())
}

/// One user
#[utoipa::path(get, path = "/v1/users/{userId}", tag = "users", params(("userId" = String, Path, pattern = "^[A-Za-z0-9._-]{1,64}$")), responses(
    (status = 200, description = "The user", body = UserBody), NotFound, Malformed, NotReady))]
async fn get_user(
    State(users): State<Users>,
    Id(id): Id<UserId>,
    params: Params,
) -> Result<Json<UserBody>, Problem> {
    params.only(&[])?;
    let wanted = id.clone();
    let user = users.call(move |machine, _| machine.user(&wanted).cloned()).await.map_err(query_problem)?;
    let user = user.ok_or_else(|| unknown(&UnknownUser(id.clone())))?;
    Ok(Json(body(&id, &user)))
}

/// Blocks a user, or lets it order again
#[utoipa::path(put, path = "/v1/users/{userId}/status", tag = "users", request_body = UserStatusPut,
    params(("userId" = String, Path, pattern = "^[A-Za-z0-9._-]{1,64}$")), responses(
    (status = 200, description = "The user", body = UserBody), NotFound, Malformed, BadBody, NotReady))]
async fn put_status(
    State(users): State<Users>,
    Id(id): Id<UserId>,
    params: Params,
    JsonBody(wish): JsonBody<UserStatusPut>,
) -> Result<Json<UserBody>, Problem> {
    params.only(&[])?;
    let wanted = id.clone();
    let user = users
        .call(move |machine, outbox| {
            machine.change_status(&wanted, wish.status.into(), outbox)?;
            machine.user(&wanted).cloned().ok_or(UnknownUser(wanted))
        })
        .await
        .map_err(command_problem)?
        .map_err(|error| unknown(&error))?;
    Ok(Json(body(&id, &user)))
}
