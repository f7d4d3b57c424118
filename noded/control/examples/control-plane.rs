//! A control plane alone, for trying it out: `control-plane FOLDER ADDRESS`.

use std::process::ExitCode;

#[allow(clippy::print_stderr, clippy::print_stdout)]
#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(Ok(listen))) = (arguments.next(), arguments.next().map(|a| a.parse())) else {
        eprintln!("usage: control-plane FOLDER ADDRESS:PORT");
        return ExitCode::from(2);
    };
    let config = control::Config {
        folder: folder.into(),
        listen,
        names: Vec::new(),
        tokens: String::new(),
        settings: Default::default(),
        times: Default::default(),
    };
    match control::serve(config).await {
        Ok(plane) => {
            println!("{} {}", plane.address, plane.kubeconfig.display());
            std::future::pending::<()>().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("control-plane: {error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
            ExitCode::FAILURE
        }
    }
}
