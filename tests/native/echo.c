/* A native function that answers each event with itself. */
#include "runtime_api.h"

int main(void) {
  char id[128];
  for (;;) {
    char *answer = api_next(id, sizeof id);
    api_respond(id, api_body(answer));
    free(answer);
  }
}
