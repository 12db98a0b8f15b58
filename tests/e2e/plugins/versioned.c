/* A plugin that tells its version, compiled by tests/e2e/harness/plugins.py with some of
 *   -DVERSION="1"            what it gives as its result
 *   -DRELEASE_FILE="/…"      a payload that is not nil waits until this file exists
 *   -DTYPE="versioned"       the task type
 *   -DABI=99                 another version of the interface
 *   -DDIES_AT_LOAD           its constructor aborts
 *   -DSCHEMA="{…}"           the schema of its payload, in the table
 *   -DMANIFEST="{…}"         its manifest
 *   -DTELLS_LIMITS           gives its limits of memory and of open files instead
 *   -DPORT=1234              gives "reached" or "unreached": whether it can connect to this port of this machine
 *   -DSTARTS                 gives those of "fork spawn exec thread" that it can do; fails when it cannot spawn
 *   -DFORKS_AT_LOAD          its constructor starts a process, and dies if it cannot
 * Plain C, by the header alone. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <retire_cluster/plugin_abi.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef ABI
#define ABI RC_PLUGIN_ABI
#endif
#ifndef TYPE
#define TYPE "versioned"
#endif
#ifndef RELEASE_FILE
#define RELEASE_FILE "/"
#endif
#ifndef SCHEMA
#define SCHEMA NULL
#endif
#ifdef MANIFEST
RC_PLUGIN_MANIFEST(MANIFEST);
#endif

#ifdef DIES_AT_LOAD
__attribute__((constructor)) static void die(void) {
  static const char kWords[] = "no way to live here\n";
  if (write(STDERR_FILENO, kWords, sizeof kWords - 1) < 0) _exit(1);
  abort();
}
#endif

#ifdef FORKS_AT_LOAD
__attribute__((constructor)) static void start(void) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  if (child < 0) _exit(3);
  waitpid(child, NULL, 0);
}
#endif

#ifdef STARTS
static void* nothing(void* of) { return of; }

static int starts(char* text) {
  char* const arguments[] = {(char*)"true", NULL};
  pthread_t thread;
  pid_t child = fork();
  int spawned;
  if (child == 0) _exit(0);
  text[0] = '\0';
  if (child > 0) {
    waitpid(child, NULL, 0);
    strcat(text, "fork ");
  }
  spawned = posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL);
  if (spawned == 0) {
    waitpid(child, NULL, 0);
    strcat(text, "spawn ");
  }
  execv("/nonexistent", arguments);
  if (errno == ENOENT) strcat(text, "exec ");
  if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
    pthread_join(thread, NULL);
    strcat(text, "thread ");
  }
  return spawned;
}
#endif

static void* create(const rc_setup* setup, void (*refuse)(void* to, const char* reason, size_t size), void* to) {
  static int nothing_to_keep;
  (void)setup;
  (void)refuse;
  (void)to;
  return &nothing_to_keep;
}

static const char* answer(char* text, size_t size) {
#if defined TELLS_LIMITS
  struct rlimit memory;
  struct rlimit files;
  getrlimit(RLIMIT_DATA, &memory);
  getrlimit(RLIMIT_NOFILE, &files);
  snprintf(text, size, "%llu %llu", (unsigned long long)memory.rlim_cur, (unsigned long long)files.rlim_cur);
  return text;
#elif defined STARTS
  (void)size;
  starts(text);
  return text;
#elif defined PORT
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  const int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
  (void)text;
  (void)size;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_fd < 0 || connect(socket_fd, (const struct sockaddr*)&address, sizeof address) != 0) return "unreached";
  close(socket_fd);
  return "reached";
#else
  (void)text;
  (void)size;
  return VERSION;
#endif
}

static int run(void* self, rc_bytes payload, const rc_context* context) {
  char text[32];
  uint8_t result[1 + sizeof text];
  const char* const said = answer(text, sizeof text);
  (void)self;
#ifdef STARTS
  if (payload.data[0] == 0xc3) { /* true */
    const int failed = starts(text);
    if (failed != 0) context->error(context, strerror(failed), strlen(strerror(failed)), NULL, 0);
    return failed == 0 ? RC_OK : RC_FAILED_PERMANENTLY;
  }
#endif
  if (payload.size != 1 || payload.data[0] != 0xc0) {
    while (access(RELEASE_FILE, F_OK) != 0) {
      if (context->wait(context, 0.02)) return RC_CANCELLED;
    }
  }
  result[0] = (uint8_t)(0xa0 + strlen(said));
  memcpy(result + 1, said, strlen(said));
  context->result(context, result, 1 + strlen(said));
  return RC_OK;
}

static void destroy(void* self) { (void)self; }

static const rc_handler kHandlers[] = {{TYPE, "Tells its version", 0, SCHEMA, create, run, destroy},
                                       {NULL, NULL, 0, NULL, NULL, NULL, NULL}};
static const rc_plugin kPlugin = {ABI, sizeof(rc_plugin), sizeof(rc_handler), "versioned", VERSION, kHandlers};

__attribute__((visibility("default"))) const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
