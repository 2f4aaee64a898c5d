/* The measured function as a static program: one kept-alive connection to the Runtime API, no allocation per event.
 * Gives the event back and says whether it is the instance's first. With an argument it ends at once: the floor. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define API "/2018-06-01/runtime/invocation/"

static char input[1 << 20], output[1 << 20], document[1 << 20];
static size_t filled;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int connect_to_api(void) {
  char address[64];
  const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
  if (api == NULL || strlen(api) >= sizeof address) fail("AWS_LAMBDA_RUNTIME_API");
  strcpy(address, api);
  char *colon = strrchr(address, ':');
  if (colon == NULL) fail("AWS_LAMBDA_RUNTIME_API has no port");
  *colon = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1))};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) fail("inet_pton");
  int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
  setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return connection;
}

/* The value of a header of the answer in `input`, which ends at `end`. */
static const char *header(const char *name, const char *end) {
  size_t length = strlen(name);
  for (const char *line = input; (line = strstr(line, "\r\n")) != NULL && line < end;) {
    line += 2;
    if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
      line += length + 1;
      return line + strspn(line, " ");
    }
  }
  return NULL;
}

/* Sends a request and reads its answer into `input`; gives the body, which ends with a zero byte. */
static char *exchange(int connection, const char *request, size_t length) {
  while (length > 0) {
    ssize_t sent = write(connection, request, length);
    if (sent <= 0) fail("write");
    request += sent;
    length -= (size_t)sent;
  }
  filled = 0;
  for (;;) {
    ssize_t got = read(connection, input + filled, sizeof input - filled - 1);
    if (got <= 0) fail("read");
    filled += (size_t)got;
    input[filled] = 0;
    char *end = strstr(input, "\r\n\r\n");
    if (end == NULL) continue;
    const char *size = header("content-length", end);
    size_t body = size == NULL ? 0 : strtoul(size, NULL, 10);
    if ((size_t)(end + 4 - input) + body <= filled) return end + 4;
  }
}

/* What the process sees of its own confinement, as JSON. */
static size_t probe(void) {
  static const char *kinds[] = {"pid", "mnt", "ipc", "uts", "net", "user"};
  size_t used = (size_t)sprintf(document, "{\"status\": \"");
  FILE *status = fopen("/proc/self/status", "r");
  if (status == NULL) fail("/proc/self/status");
  for (int sign; (sign = getc(status)) != EOF;) {
    if (sign == '\n' || sign == '\t') document[used++] = '\\', sign = sign == '\n' ? 'n' : 't';
    document[used++] = (char)sign;
  }
  fclose(status);
  used += (size_t)sprintf(document + used, "\", \"namespaces\": {");
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    char path[64], target[64] = "";
    sprintf(path, "/proc/self/ns/%s", kinds[i]);
    if (readlink(path, target, sizeof target - 1) < 0) fail(path);
    used += (size_t)sprintf(document + used, "%s\"%s\": \"%s\"", i > 0 ? ", " : "", kinds[i], target);
  }
  return used + (size_t)sprintf(document + used, "}}");
}

int main(int count, char **arguments) {
  (void)arguments;
  if (count > 1) return 0;
  static const char next[] = "GET " API "next HTTP/1.1\r\nHost: api\r\n\r\n";
  const char *start = "first";
  int connection = connect_to_api();
  for (;;) {
    char id[128];
    char *event = exchange(connection, next, sizeof next - 1);
    const char *value = header("lambda-runtime-aws-request-id", event);
    size_t length = value == NULL ? 0 : strcspn(value, "\r");
    if (length == 0 || length >= sizeof id) fail("no request id");
    memcpy(id, value, length);
    id[length] = 0;
    size_t size;
    if (strstr(event, "\"probe\"") != NULL) {
      size = probe();
    } else {
      size = (size_t)snprintf(document, sizeof document, "{\"start\": \"%s\", \"event\": %s}", start, event);
      if (size >= sizeof document) fail("event too long");
      start = "again";
    }
    int head = snprintf(output, sizeof output,
                        "POST " API "%s/response HTTP/1.1\r\nHost: api\r\nContent-Length: %zu\r\n\r\n", id, size);
    if ((size_t)head + size >= sizeof output) fail("answer too long");
    memcpy(output + head, document, size);
    exchange(connection, output, (size_t)head + size);
  }
}
