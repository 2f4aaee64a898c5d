"""The measured function for functions-framework: gives the event back."""

start = "first"


def handler(request):
    """Answers an event; says whether it is the process's first."""
    global start
    answer = {"start": start, "event": request.get_json()}
    start = "again"
    return answer
