//! Prints docs/lambda-api.md.

fn main() {
    print!("{}", wuwei_gateway::lambda_api_page());
}
