/* A client of the Lambda Runtime API, just large enough for test programs: one connection a request, plain sockets. */
#ifndef RUNTIME_API_H
#define RUNTIME_API_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PREFIX "/2018-06-01/runtime"

static inline void fail(const char *what) {
  perror(what);
  exit(70);
}

static inline int api_connect(void) {
  char address[128];
  const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
  if (api == NULL || strlen(api) >= sizeof address) fail("AWS_LAMBDA_RUNTIME_API");
  strcpy(address, api);
  char *colon = strrchr(address, ':');
  if (colon == NULL) fail("AWS_LAMBDA_RUNTIME_API has no port");
  *colon = 0;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(colon + 1))};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) fail("AWS_LAMBDA_RUNTIME_API is no address");
  int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connection < 0 || connect(connection, (struct sockaddr *)&to, sizeof to) != 0) fail("connect");
  return connection;
}

/* Sends a request and reads the whole answer, which the caller frees. */
static inline char *api_request(const char *method, const char *path, const char *body) {
  int connection = api_connect();
  size_t length = strlen(body), room = length + 512, used = 0;
  char *request = malloc(room);
  int head = snprintf(request, room,
                      "%s " PREFIX "%s HTTP/1.1\r\nHost: api\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                      method, path, length, body);
  for (ssize_t sent = 0; sent < head;) {
    ssize_t step = write(connection, request + sent, (size_t)(head - sent));
    if (step <= 0) fail("write");
    sent += step;
  }
  free(request);
  char *answer = malloc(room = 65536);
  for (ssize_t step; (step = read(connection, answer + used, room - used - 1)) != 0;) {
    if (step < 0) fail("read");
    used += (size_t)step;
    if (room - used < 4096 && (answer = realloc(answer, room *= 2)) == NULL) fail("realloc");
  }
  answer[used] = 0;
  close(connection);
  return answer;
}

/* The body of an answer, inside it. */
static inline char *api_body(char *answer) {
  char *end = strstr(answer, "\r\n\r\n");
  if (end == NULL) fail("answer without a head");
  return end + 4;
}

/* Waits for an event: copies its request id and returns the whole answer. */
static inline char *api_next(char *id, size_t room) {
  static const char header[] = "lambda-runtime-aws-request-id:";
  char *answer = api_request("GET", "/invocation/next", "");
  for (char *line = answer; (line = strstr(line, "\r\n")) != NULL;) {
    line += 2;
    if (strncasecmp(line, header, sizeof header - 1) == 0) {
      const char *value = line + sizeof header - 1;
      value += strspn(value, " ");
      size_t length = strcspn(value, "\r\n");
      if (length >= room) fail("request id too long");
      memcpy(id, value, length);
      id[length] = 0;
      return answer;
    }
  }
  fail("answer without a request id");
  return NULL;
}

static inline void api_respond(const char *id, const char *body) {
  char path[256];
  snprintf(path, sizeof path, "/invocation/%s/response", id);
  free(api_request("POST", path, body));
}

#endif
