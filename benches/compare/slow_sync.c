/* Loaded into a server (LD_PRELOAD), makes each sync of a file take SYNC_US microseconds longer, as
 * on a disk that really writes. Only the thread that asked waits. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static int slowed(const char *name, int fd) {
    int (*original)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *micros = getenv("SYNC_US");
    int result = original(fd);
    usleep(micros ? (useconds_t)atoi(micros) : 0);
    return result;
}

int fdatasync(int fd) { return slowed("fdatasync", fd); }

int fsync(int fd) { return slowed("fsync", fd); }
