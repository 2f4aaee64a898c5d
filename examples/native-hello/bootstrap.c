/* A native function: a static program that speaks the Lambda Runtime API over a plain socket.
 *
 * It asks for the next event, answers it, and so on. HTTP/1.0 keeps it short: an answer is never chunked, and its
 * body ends where the connection ends. */

#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* Largest event of the Lambda API (6 MB), and room for the headers. */
#define ANSWER_BYTES_MAX (6291456 + 65536)

static struct sockaddr_in api;
static char authority[64];

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* AWS_LAMBDA_RUNTIME_API is `address:port`. */
static void find_api(void) {
    const char *value = getenv("AWS_LAMBDA_RUNTIME_API");
    if (value == NULL || strlen(value) >= sizeof authority) {
        fprintf(stderr, "AWS_LAMBDA_RUNTIME_API is not set: this program runs as a Lambda function\n");
        exit(1);
    }
    strcpy(authority, value);
    char address[sizeof authority];
    strcpy(address, value);
    char *colon = strrchr(address, ':');
    if (colon != NULL) {
        *colon = '\0';
    }
    api.sin_family = AF_INET;
    api.sin_port = htons(colon != NULL ? (unsigned short)atoi(colon + 1) : 80);
    if (strcmp(address, "localhost") == 0) {
        strcpy(address, "127.0.0.1");
    }
    if (inet_pton(AF_INET, address, &api.sin_addr) != 1) {
        fprintf(stderr, "AWS_LAMBDA_RUNTIME_API `%s` is not an IPv4 address and port\n", value);
        exit(1);
    }
}

static void send_all(int connection, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = write(connection, bytes, length);
        if (sent < 0) {
            fail("write to the Runtime API");
        }
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* Sends a request on a connection of its own; gives the whole answer, which ends with a zero byte. */
static char *exchange(const char *head, const char *body, size_t body_length, size_t *answer_length) {
    static char answer[ANSWER_BYTES_MAX + 1];
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&api, sizeof api) != 0) {
        fail("connect to the Runtime API");
    }
    send_all(connection, head, strlen(head));
    send_all(connection, body, body_length);
    size_t length = 0;
    for (;;) {
        ssize_t got = read(connection, answer + length, ANSWER_BYTES_MAX - length);
        if (got < 0) {
            fail("read from the Runtime API");
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
        if (length == ANSWER_BYTES_MAX) {
            fprintf(stderr, "the Runtime API's answer is too long\n");
            exit(1);
        }
    }
    close(connection);
    answer[length] = '\0';
    *answer_length = length;
    return answer;
}

/* Copies the value of a header; false when it is not there. */
static int find_header(const char *answer, const char *name, char *value, size_t size) {
    size_t name_length = strlen(name);
    for (const char *line = strstr(answer, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_length) == 0 && line[name_length] == ':') {
            const char *start = line + name_length + 1;
            start += strspn(start, " ");
            size_t length = strcspn(start, "\r\n");
            if (length >= size) {
                return 0;
            }
            memcpy(value, start, length);
            value[length] = '\0';
            return 1;
        }
        if (strncmp(line, "\r\n", 2) == 0) {
            return 0;
        }
    }
    return 0;
}

int main(void) {
    static char reply[ANSWER_BYTES_MAX];
    char head[512];
    find_api();
    for (unsigned long served = 1;; served++) {
        snprintf(head, sizeof head, "GET /2018-06-01/runtime/invocation/next HTTP/1.0\r\nHost: %s\r\n\r\n", authority);
        size_t length;
        char *answer = exchange(head, "", 0, &length);
        char request_id[128];
        char *body = strstr(answer, "\r\n\r\n");
        if (body == NULL || !find_header(answer, "Lambda-Runtime-Aws-Request-Id", request_id, sizeof request_id)) {
            fprintf(stderr, "the Runtime API gave no event\n");
            return 1;
        }
        body += 4;
        size_t event_length = length - (size_t)(body - answer);
        printf("event of %zu bytes\n", event_length);
        fflush(stdout);
        int written = snprintf(reply, sizeof reply,
                               "{\"message\": \"hello from a static binary\", \"served\": %lu, \"pid\": %d, \"event\": %s}",
                               served, (int)getpid(), event_length > 0 ? body : "null");
        size_t reply_length = written < 0 ? 0 : (size_t)written;
        snprintf(head, sizeof head,
                 "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.0\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
                 request_id, authority, reply_length);
        exchange(head, reply, reply_length, &length);
    }
}
