//! The least a gRPC server can do: a name in, a greeting out. Written without generated code, as it is all there is.

use futures::future::BoxFuture;
use prost::Message;
use std::{convert::Infallible, net::SocketAddr, task};
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Service, http},
    server::{Grpc, NamedService, UnaryService},
};
use tonic_prost::ProstCodec;

/// Where it is called.
pub const PATH: &str = "/helloworld.Greeter/SayHello";

/// What is sent.
#[derive(Clone, PartialEq, Message)]
pub struct HelloRequest {
    /// Who is to be greeted.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// What comes back.
#[derive(Clone, PartialEq, Message)]
pub struct HelloReply {
    /// The greeting.
    #[prost(string, tag = "1")]
    pub message: String,
}

/// Serves until it is killed.
pub fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let server = tonic::transport::Server::builder().add_service(Greeter).serve(address);
    Ok(runtime.block_on(server)?)
}

#[derive(Clone)]
struct Greeter;

struct SayHello;

impl UnaryService<HelloRequest> for SayHello {
    type Response = HelloReply;
    type Future = BoxFuture<'static, Result<Response<HelloReply>, Status>>;

    fn call(&mut self, request: Request<HelloRequest>) -> Self::Future {
        let message = format!("Hello {}!", request.into_inner().name);
        Box::pin(async move { Ok(Response::new(HelloReply { message })) })
    }
}

impl NamedService for Greeter {
    const NAME: &'static str = "helloworld.Greeter";
}

impl Service<http::Request<Body>> for Greeter {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<HelloReply, HelloRequest>::default());
            Ok(grpc.unary(SayHello, request).await)
        })
    }
}
