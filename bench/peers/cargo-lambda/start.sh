#!/bin/sh
# Starts cargo-lambda's emulator ($1) on port $3 and one instance of the function ($2), as `cargo lambda watch` does, but
# builds nothing.
"$1" lambda watch --only-lambda-apis --ignore-changes --invoke-address 127.0.0.1 --invoke-port "$3" &
emulator=$!
export AWS_LAMBDA_RUNTIME_API="http://127.0.0.1:$3/.rt/bootstrap" AWS_LAMBDA_FUNCTION_NAME=bootstrap \
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128 AWS_LAMBDA_FUNCTION_VERSION=1 AWS_LAMBDA_LOG_GROUP_NAME=none AWS_LAMBDA_LOG_STREAM_NAME=none
# The function ends while the emulator does not listen yet.
while kill -0 "$emulator" 2>/dev/null; do
    "$2" || sleep 0.01
done
