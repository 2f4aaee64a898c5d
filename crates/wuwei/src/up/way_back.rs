use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::net::TcpStream;
use wuwei_gateway::{FunctionLine, Relays};
use wuwei_sandbox::{InstanceIdentity, Relay, RelayService};

/// Joins the listeners that sandboxes have for their functions to the gateway, which serves them. Neither knows the other.
pub(super) struct WayBack(pub(super) Relays);

struct Line(FunctionLine);

impl RelayService for WayBack {
    fn open(&self, identity: &InstanceIdentity) -> io::Result<Arc<dyn Relay>> {
        let line = self.0.open(identity.function.clone(), identity.role.clone())?;
        Ok(Arc::new(Line(line)))
    }
}

#[async_trait]
impl Relay for Line {
    fn environment(&self) -> Vec<(String, String)> {
        self.0.environment()
    }

    async fn serve(&self, stream: TcpStream) {
        self.0.serve(stream).await;
    }
}
