"""Confusing the platform: forged, foreign, double and oversize answers."""

from attack.attempt import Attempt

OTHER_CALL = "00000000-0000-4000-8000-000000000000"
MANAGED = [
    Attempt(
        "answer in the name of another call",
        ("request-ids",),
        ("answer to another request",),
        python="""
def handler(event, context):
    send(frame(b'"forged"'))
    time.sleep(60)
""",
        node="""
exports.handler = async () => { send(frame('"forged"')); await new Promise((done) => setTimeout(done, 60000)); };
""",
        calls=1,
    ),
    Attempt(
        "leave an answer for the next call",
        ("one-answer", "request-ids"),
        ("data after the answer",),
        python="""
def handler(event, context):
    send(frame(b'"honest"', context.aws_request_id.encode()) + frame(b'"forged"'))
    time.sleep(60)
""",
        node="""
exports.handler = async (event, context) => {
  send(Buffer.concat([frame('"honest"', context.awsRequestId), frame('"forged"')]));
  await new Promise((done) => setTimeout(done, 60000));
};
""",
        calls=2,
    ),
    Attempt(
        "answer with more than six megabytes",
        ("answer-limit",),
        ("exceeds the limit",),
        python="""
def handler(event, context):
    send(frame(b'"forged' + b' ' * (7 << 20) + b'"', context.aws_request_id.encode()))
    time.sleep(60)
""",
        node="""
exports.handler = async (event, context) => {
  send(frame('"forged' + ' '.repeat(7 << 20) + '"', context.awsRequestId));
  await new Promise((done) => setTimeout(done, 60000));
};
""",
        calls=1,
    ),
]

RUNTIME_API = [
    Attempt(
        "answer another call over the Runtime API",
        ("request-ids",),
        ("honest",),
        python=f"""
while True:
    call = ask('GET', 'next').headers['Lambda-Runtime-Aws-Request-Id']
    ask('POST', '{OTHER_CALL}/response', b'"forged"')
    ask('POST', call + '/response', b'"honest"')
""",
        calls=2,
        through="provided",
    ),
    Attempt(
        "answer an earlier attempt at the same call",
        ("request-ids",),
        ("honest",),
        python=f"""
while True:
    call = ask('GET', 'next').headers['Lambda-Runtime-Aws-Request-Id']
    ask('POST', call + '/response', b'"forged"', Lambda_Runtime_Invocation_Id='{OTHER_CALL}')
    ask('POST', call + '/response', b'"honest"')
""",
        calls=2,
        through="provided",
    ),
    Attempt(
        "answer with more than six megabytes over the Runtime API",
        ("answer-limit",),
        ("exceeds the limit",),
        python="""
while True:
    call = ask('GET', 'next').headers['Lambda-Runtime-Aws-Request-Id']
    ask('POST', call + '/response', b'"forged' + b' ' * (7 << 20) + b'"')
""",
        calls=1,
        through="provided",
    ),
]

GROUPS = {"Answers of managed runtimes": MANAGED, "The Runtime API": RUNTIME_API}
