/* The handler of the native column: what each operation of the behaviours does. It knows no JSON but the form
 * {"op": "name", "value": text} in which the suite writes its events, and a string of which it undoes \" and \\. */
#define _GNU_SOURCE
#include "../../../native/runtime_api.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>

extern char **environ;

static char *answer;
static size_t used, room;
static char instance[64];
static int calls;
static volatile long gap_ms;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  va_list list;
  va_start(list, format);
  int length = vsnprintf(NULL, 0, format, list);
  va_end(list);
  if (used + (size_t)length + 1 > room && (answer = realloc(answer, room = 2 * (used + (size_t)length + 1))) == NULL)
    fail("realloc");
  va_start(list, format);
  vsnprintf(answer + used, room - used, format, list);
  va_end(list);
  used += (size_t)length;
}

static void say_string(const char *text, size_t length) {
  say("\"");
  for (size_t at = 0; at < length; at++) {
    unsigned char byte = (unsigned char)text[at];
    if (byte == '"' || byte == '\\') say("\\%c", byte);
    else if (byte < 32) say("\\u%04x", byte);
    else say("%c", byte);
  }
  say("\"");
}

static void say_text(const char *text) { say_string(text, strlen(text)); }

/* The text of a JSON string, in place. */
static char *text_of(char *value) {
  char *to = value, *from = value + 1;
  while (*from != '"' && *from != 0) {
    if (*from == '\\') from++;
    *to++ = *from++;
  }
  *to = 0;
  return value;
}

static void pause_ms(long milliseconds) {
  struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, NULL);
}

static long now_ms(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

__attribute__((noreturn)) static void *tick(void *unused) {
  (void)unused;
  for (long last = now_ms(CLOCK_MONOTONIC);; last = now_ms(CLOCK_MONOTONIC)) {
    pause_ms(10);
    long since = now_ms(CLOCK_MONOTONIC) - last;
    if (since > gap_ms) gap_ms = since;
  }
}

static void say_header(const char *name, const char *head, const char *header, int quoted) {
  char line[128];
  snprintf(line, sizeof line, "\r\n%s: ", header);
  const char *found = strcasestr(head, line);
  say("\"%s\": ", name);
  if (found == NULL) {
    say("null, ");
    return;
  }
  found += strlen(line);
  size_t length = strcspn(found, "\r");
  if (quoted) say_string(found, length);
  else say("%.*s", (int)length, found);
  say(", ");
}

static void say_variable(const char *name, const char *variable) {
  say("\"%s\": ", name);
  say_text(getenv(variable));
  say(", ");
}

static void context_of(const char *head) {
  long deadline = 0;
  const char *line = strcasestr(head, "lambda-runtime-deadline-ms: ");
  if (line != NULL) deadline = atol(line + strlen("lambda-runtime-deadline-ms: "));
  say("{");
  say_header("requestId", head, "lambda-runtime-aws-request-id", 1);
  say_header("arn", head, "lambda-runtime-invoked-function-arn", 1);
  say_header("trace", head, "lambda-runtime-trace-id", 1);
  say_header("client", head, "lambda-runtime-client-context", 0);
  say_variable("functionName", "AWS_LAMBDA_FUNCTION_NAME");
  say_variable("functionVersion", "AWS_LAMBDA_FUNCTION_VERSION");
  say_variable("logGroup", "AWS_LAMBDA_LOG_GROUP_NAME");
  say_variable("logStream", "AWS_LAMBDA_LOG_STREAM_NAME");
  say("\"memoryMb\": %s, ", getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
  say("\"remainingMs\": %ld}", deadline - now_ms(CLOCK_REALTIME));
}

static void environment_of(void) {
  say("{");
  for (char **variable = environ; *variable != NULL; variable++) {
    const char *equals = strchr(*variable, '=');
    if (equals == NULL) continue;
    say("%s", variable == environ ? "" : ", ");
    say_string(*variable, (size_t)(equals - *variable));
    say(": ");
    say_text(equals + 1);
  }
  say("}");
}

/* All that a stream gives, as a string. */
static void say_stream(FILE *stream) {
  static char text[65536];
  if (stream == NULL) {
    say("null");
    return;
  }
  say_string(text, fread(text, 1, sizeof text, stream));
}

/* [["out", "text"], …] without escapes. */
static void print_lines(char *value) {
  for (char *at = value; (at = strstr(at, "[\"")) != NULL;) {
    FILE *stream = at[2] == 'o' ? stdout : stderr;
    char *text = strstr(at, "\", \"") + 4, *end = strchr(text, '"');
    fprintf(stream, "%.*s\n", (int)(end - text), text);
    fflush(stream);
    at = end;
  }
  say("null");
}

/* {"path": "…", "text": "…"} without escapes. */
static void write_file(char *value) {
  char *path = strstr(value, "\"path\": \"") + 9, *text = strstr(value, "\"text\": \"") + 9;
  *strchr(path, '"') = 0;
  *strchr(text, '"') = 0;
  FILE *file = fopen(path, "w");
  say("\"%s\"", file == NULL || fputs(text, file) < 0 || fclose(file) != 0 ? "refused" : "written");
}

static int skip_dots(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void list(const char *path) {
  struct dirent **entries;
  int count = scandir(path, &entries, skip_dots, alphasort);
  say("[");
  for (int at = 0; at < count; at++) {
    say("%s", at ? ", " : "");
    say_text(entries[at]->d_name);
  }
  say("]");
}

/* Sends the parts of ["…", …], a chunk each. */
static void stream_parts(const char *id, char *value) {
  char path[256];
  int connection = api_connect();
  snprintf(path, sizeof path, "/invocation/%s/response", id);
  dprintf(connection,
          "POST " PREFIX "%s HTTP/1.1\r\nHost: api\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
          "Content-Type: text/plain\r\nLambda-Runtime-Function-Response-Mode: streaming\r\n\r\n",
          path);
  for (char *part = value; (part = strchr(part, '"')) != NULL;) {
    char *end = strchr(part + 1, '"');
    int length = (int)(end - part) - 1;
    if (length > 0) dprintf(connection, "%x\r\n%.*s\r\n", (unsigned)length, length, part + 1);
    part = end + 1;
  }
  dprintf(connection, "0\r\n\r\n");
  char ignored[512];
  while (read(connection, ignored, sizeof ignored) > 0) {
  }
  close(connection);
}

static void report(const char *path, const char *message) {
  char document[1024];
  snprintf(document, sizeof document, "{\"errorMessage\": \"%s\", \"errorType\": \"Odd\", \"stackTrace\": []}", message);
  free(api_request("POST", path, document));
}

/* Whether the answer is still to be sent. */
static int operate(const char *operation, char *value, const char *head, const char *id) {
  if (strcmp(operation, "context") == 0) context_of(head);
  else if (strcmp(operation, "environment") == 0) environment_of();
  else if (strcmp(operation, "panic") == 0) abort();
  else if (strcmp(operation, "exit") == 0) _exit(atoi(value));
  else if (strcmp(operation, "signal") == 0) raise(atoi(value));
  else if (strcmp(operation, "print") == 0) print_lines(value);
  else if (strcmp(operation, "write") == 0) write_file(value);
  else if (strcmp(operation, "length") == 0) say("%zu", strlen(text_of(value)));
  else if (strcmp(operation, "list") == 0) list(text_of(value));
  else if (strcmp(operation, "count") == 0) {
    pause_ms(atol(value));
    say("{\"instance\": \"%s\", \"calls\": %d}", instance, ++calls);
  } else if (strcmp(operation, "sleep") == 0) {
    pause_ms(atol(value));
    say("\"slept\"");
  } else if (strcmp(operation, "letters") == 0) {
    size_t count = (size_t)atol(value);
    char *letters = malloc(count + 1);
    memset(letters, 'x', count);
    letters[count] = 0;
    say("\"%s\"", letters);
    free(letters);
  } else if (strcmp(operation, "read") == 0) {
    FILE *file = fopen(text_of(value), "r");
    say_stream(file);
    if (file != NULL) fclose(file);
  } else if (strcmp(operation, "run") == 0) {
    FILE *output = popen(text_of(value), "r");
    say_stream(output);
    pclose(output);
  } else if (strcmp(operation, "stat") == 0) {
    struct stat found;
    if (stat(text_of(value), &found) != 0) fail("stat");
    say("{\"mode\": \"%o\", \"owner\": %u}", found.st_mode & 07777, found.st_uid);
  } else if (strcmp(operation, "cwd") == 0) {
    char path[256];
    if (getcwd(path, sizeof path) == NULL) fail("getcwd");
    say_text(path);
  } else if (strcmp(operation, "ticks") == 0) {
    pthread_t ticker;
    if (*value == 't' && pthread_create(&ticker, NULL, tick, NULL) != 0) fail("pthread_create");
    pause_ms(100);
    say("%ld", gap_ms);
  } else if (strcmp(operation, "allocate") == 0) {
    size_t size = (size_t)atol(value) * 1000000;
    char *memory = malloc(size);
    if (memory == NULL) fail("malloc");
    for (size_t at = 0; at < size; at += 4096) ((volatile char *)memory)[at] = 1;
    free(memory);
    say("\"allocated\"");
  } else if (strcmp(operation, "stream") == 0) {
    stream_parts(id, value);
    return 0;
  } else {
    char path[256];
    snprintf(path, sizeof path, "/invocation/%s/error", id);
    report(path, strcmp(operation, "fail") == 0 ? text_of(value) : "no such operation");
    return 0;
  }
  return 1;
}

int main(void) {
  static const char start[] = "{\"op\": \"", value_start[] = ", \"value\": ";
  char id[128];
  const char *init = getenv("INIT");
  printf("initialising\n");
  fflush(stdout);
  if (init != NULL && strcmp(init, "fail") == 0) {
    report("/init/error", "at init");
    return 1;
  }
  if (init != NULL && strcmp(init, "exit") == 0) return 9;
  FILE *uuid = fopen("/proc/sys/kernel/random/uuid", "r");
  if (uuid == NULL || fscanf(uuid, "%63s", instance) != 1) fail("uuid");
  for (;;) {
    char *event = api_next(id, sizeof id), *body = api_body(event);
    if (strncmp(body, start, sizeof start - 1) != 0) {
      api_respond(id, body);
    } else {
      body[-1] = 0;
      char *operation = body + sizeof start - 1, *end = strchr(operation, '"');
      char *value = end + sizeof value_start;
      *end = 0;
      used = 0;
      if (operate(operation, value, event, id)) api_respond(id, answer);
    }
    free(event);
  }
}
