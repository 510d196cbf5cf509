/* Preloaded into a redis-server under test, so that a file controls its wall clock.
 *
 * The file named by ATODE_TEST_CLOCK holds two 64-bit integers in host byte order: the microseconds to add to the real
 * time, and the time (Unix microseconds) at which the clock is stopped, or 0. libfaketime does far more, but hangs in
 * jemalloc, which redis-server is linked with. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const _Atomic int64_t *state;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("ATODE_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = file < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) {
        state = map;
    }
}

int clock_gettime(clockid_t which, struct timespec *out) {
    int failed = (int)syscall(SYS_clock_gettime, which, out);
    if (failed || which != CLOCK_REALTIME || !state) {
        return failed;
    }
    int64_t frozen = state[1];
    int64_t ns = frozen ? frozen * 1000 : out->tv_sec * 1000000000LL + out->tv_nsec + state[0] * 1000;
    out->tv_sec = ns / 1000000000;
    out->tv_nsec = ns % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return failed;
}
