/*
 * The measuring program of './blanket bench': the first and only process of its guest.
 *
 * Prints lines 'bench: NAME NANOSECONDS' on the console, each the mean of a loop and the least of five such loops, then
 * 'bench: done', and powers the guest off. The environment, which the kernel makes of words on its command line that it does
 * not know, chooses the parts: bench=cpu,disk, both by default; bench_peer=PORT adds the network, with the host's end of the
 * connection at that port of 10.0.2.2. bench_profile=NAME marks that row for a profile of executed instructions, ends there and
 * prints the kernel's symbols, 'symbol: ADDRESS NAME'. Static, without busybox, so that every guest runs the same code.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define PAGE_SIZE 4096
#define FAULT_PAGES 1000
#define SMALL_SIZE 4096
#define LARGE_SIZE (1 << 20)
#define DEVICE_WAIT_MS 30000

static uint64_t now_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static _Noreturn void power_off(void)
{
    /* A console behind a ring empties it in its own time. */
    usleep(300000);
    sync();
    reboot(RB_POWER_OFF);
    for (;;)
        pause();
}

static _Noreturn void fail(const char *what)
{
    printf("bench: failed: %s: %s\n", what, strerror(errno));
    power_off();
}

static void require(int holds, const char *what)
{
    if (!holds)
        fail(what);
}

/* No-operations that Profile/profile.c finds in what QEMU translates. */
#define PROFILE_START() __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x01, 0xb1, 0xa2, 0x7e" ::: "memory")
#define PROFILE_STOP() __asm__ volatile(".byte 0x0f, 0x1f, 0x80, 0x02, 0xb1, 0xa2, 0x7e" ::: "memory")

static const char *profiled;

static int is_profiled(const char *name)
{
    return profiled != NULL && strcmp(profiled, name) == 0;
}

/* The kernel's functions, by which executed instructions are told apart; then it is over. */
static _Noreturn void end_profile(void)
{
    char line[512], name[256], kind;
    unsigned long long address;
    FILE *symbols = fopen("/proc/kallsyms", "r");

    require(symbols != NULL, "/proc/kallsyms");
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    while (fgets(line, sizeof line, symbols) != NULL)
        if (sscanf(line, "%llx %c %255s", &address, &kind, name) == 3 && strchr("tTwW", kind) != NULL)
            printf("symbol: %llx %s\n", address, name);
    puts("bench: done");
    fflush(stdout);
    power_off();
}

/* An operation, done 'count' times. */
typedef void operation(int count);

static void measure(const char *name, operation *run, int count)
{
    uint64_t least = UINT64_MAX;

    for (int round = 0; round < ROUNDS; round++) {
        if (is_profiled(name) && round == ROUNDS - 1)
            PROFILE_START();
        uint64_t start = now_ns(CLOCK_MONOTONIC);
        run(count);
        if (is_profiled(name) && round == ROUNDS - 1)
            PROFILE_STOP();
        uint64_t elapsed = now_ns(CLOCK_MONOTONIC) - start;
        if (elapsed < least)
            least = elapsed;
    }
    printf("bench: %s %llu\n", name, (unsigned long long)(least / (unsigned)count));
    if (is_profiled(name)) {
        printf("profile: %d\n", count);
        end_profile();
    }
}

static void run_getpid(int count)
{
    while (count-- > 0)
        syscall(SYS_getpid);
}

static int zero_file;

static void run_read(int count)
{
    char byte;

    while (count-- > 0)
        require(read(zero_file, &byte, 1) == 1, "read /dev/zero");
}

static void run_stat(int count)
{
    struct stat status;

    while (count-- > 0)
        require(stat("/init", &status) == 0, "stat");
}

static void on_signal(int number)
{
    (void)number;
}

static void run_signal(int count)
{
    pid_t self = getpid();

    while (count-- > 0)
        require(kill(self, SIGUSR1) == 0, "kill");
}

static char *fault_area;

/* First touches. */
static void run_page_faults(int count)
{
    for (int page = 0; page < count; page++)
        ((volatile char *)fault_area)[(size_t)page * PAGE_SIZE] = 1;
}

/* Like measure(), with the pages given back outside the measured time. */
static void measure_page_faults(void)
{
    uint64_t least = UINT64_MAX;

    fault_area = mmap(NULL, (size_t)FAULT_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(fault_area != MAP_FAILED, "mmap");
    madvise(fault_area, (size_t)FAULT_PAGES * PAGE_SIZE, MADV_NOHUGEPAGE);
    for (int round = 0; round < ROUNDS; round++) {
        require(madvise(fault_area, (size_t)FAULT_PAGES * PAGE_SIZE, MADV_DONTNEED) == 0, "madvise");
        if (is_profiled("page_fault") && round == ROUNDS - 1)
            PROFILE_START();
        uint64_t start = now_ns(CLOCK_MONOTONIC);
        run_page_faults(FAULT_PAGES);
        if (is_profiled("page_fault") && round == ROUNDS - 1)
            PROFILE_STOP();
        uint64_t elapsed = now_ns(CLOCK_MONOTONIC) - start;
        if (elapsed < least)
            least = elapsed;
    }
    printf("bench: page_fault %llu\n", (unsigned long long)(least / FAULT_PAGES));
    if (is_profiled("page_fault")) {
        printf("profile: %d\n", FAULT_PAGES);
        end_profile();
    }
}

static void run_mprotect(int count)
{
    while (count-- > 0) {
        require(mprotect(fault_area, PAGE_SIZE, PROT_READ) == 0, "mprotect");
        require(mprotect(fault_area, PAGE_SIZE, PROT_READ | PROT_WRITE) == 0, "mprotect");
    }
}

static int to_child, from_child;

static void run_pipe(int count)
{
    char byte = 0;

    while (count-- > 0) {
        require(write(to_child, &byte, 1) == 1, "write to a pipe");
        require(read(from_child, &byte, 1) == 1, "read from a pipe");
    }
}

static void measure_pipe(int count)
{
    int down[2], up[2];
    char byte;

    require(pipe(down) == 0 && pipe(up) == 0, "pipe");
    pid_t child = fork();
    require(child >= 0, "fork");
    if (child == 0) {
        close(down[1]);
        close(up[0]);
        while (read(down[0], &byte, 1) == 1 && write(up[1], &byte, 1) == 1)
            ;
        _exit(0);
    }
    close(down[0]);
    close(up[1]);
    to_child = down[1];
    from_child = up[0];
    measure("pipe_round_trip", run_pipe, count);
    close(to_child);
    close(from_child);
    waitpid(child, NULL, 0);
}

static void fork_and_wait(int executes)
{
    int status;
    pid_t child = fork();

    require(child >= 0, "fork");
    if (child == 0) {
        if (executes)
            execl("/init", "/init", "exit", (char *)NULL);
        _exit(executes);
    }
    require(waitpid(child, &status, 0) == child && status == 0, "child");
}

static void run_fork(int count)
{
    while (count-- > 0)
        fork_and_wait(0);
}

static void run_fork_exec(int count)
{
    while (count-- > 0)
        fork_and_wait(1);
}

static void measure_cpu(void)
{
    signal(SIGUSR1, on_signal);
    zero_file = open("/dev/zero", O_RDONLY);
    require(zero_file >= 0, "/dev/zero");
    measure("getpid", run_getpid, 10000);
    measure("read", run_read, 5000);
    measure("stat", run_stat, 2000);
    measure("signal", run_signal, 1000);
    measure_page_faults();
    measure("mprotect", run_mprotect, 1000);
    /* A fork copies what is mapped. */
    munmap(fault_area, (size_t)FAULT_PAGES * PAGE_SIZE);
    measure_pipe(300);
    measure("fork", run_fork, 20);
    measure("fork_exec", run_fork_exec, 20);
}

static int disk;
static uint64_t disk_size;
static char *buffer;
static uint64_t random_state = 0x9E3779B97F4A7C15u;
static uint64_t position;

/* xorshift64: the same places on every run. */
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static off_t next_place(size_t size)
{
    if (size == SMALL_SIZE)
        return (off_t)(next_random() % (disk_size / SMALL_SIZE) * SMALL_SIZE);
    position = position + 2 * size <= disk_size ? position + size : 0;
    return (off_t)position;
}

static void transfer(int writes, size_t size, int count)
{
    while (count-- > 0) {
        off_t place = next_place(size);
        ssize_t moved = writes ? pwrite(disk, buffer, size, place) : pread(disk, buffer, size, place);
        require(moved == (ssize_t)size, writes ? "disk write" : "disk read");
    }
}

static void run_small_reads(int count) { transfer(0, SMALL_SIZE, count); }
static void run_small_writes(int count) { transfer(1, SMALL_SIZE, count); }
static void run_large_reads(int count) { transfer(0, LARGE_SIZE, count); }
static void run_large_writes(int count) { transfer(1, LARGE_SIZE, count); }

static void load_modules(void)
{
    char name[128], path[192];
    FILE *order = fopen("/lib/modules/order", "r");

    require(order != NULL, "/lib/modules/order");
    while (fgets(name, sizeof name, order) != NULL) {
        name[strcspn(name, "\n")] = 0;
        snprintf(path, sizeof path, "/lib/modules/%s", name);
        int module = open(path, O_RDONLY);
        require(module >= 0, path);
        /* A driver for another kind of machine refuses. */
        syscall(SYS_finit_module, module, "", 0);
        close(module);
    }
    fclose(order);
}

/* PV, virtio, or the second of a PC's emulated disks: it boots from the first. */
static int open_disk(void)
{
    const char *names[] = { "/dev/xvda", "/dev/vda", "/dev/sdb", NULL };

    for (int waited = 0; waited < DEVICE_WAIT_MS; waited += 10) {
        for (const char **name = names; *name != NULL; name++) {
            int file = open(*name, O_RDWR | O_DIRECT);
            if (file >= 0)
                return file;
        }
        usleep(10000);
    }
    return -1;
}

static void measure_disk(void)
{
    disk = open_disk();
    require(disk >= 0, "no disk");
    disk_size = (uint64_t)lseek(disk, 0, SEEK_END);
    require(disk_size >= 2 * LARGE_SIZE, "disk size");
    require(posix_memalign((void **)&buffer, PAGE_SIZE, LARGE_SIZE) == 0, "memory");
    memset(buffer, 0x5A, LARGE_SIZE);

    /* Every block has been written once before any is measured: no holes. */
    for (uint64_t place = 0; place + LARGE_SIZE <= disk_size; place += LARGE_SIZE)
        require(pwrite(disk, buffer, LARGE_SIZE, (off_t)place) == LARGE_SIZE, "disk write");
    measure("disk_read_4k", run_small_reads, 200);
    measure("disk_write_4k", run_small_writes, 200);
    measure("disk_read_1m", run_large_reads, 16);
    measure("disk_write_1m", run_large_writes, 16);
}

static int peer;
static char network_buffer[LARGE_SIZE];

static void send_all(const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t sent = write(peer, (const char *)data + done, size - done);
        require(sent > 0, "send");
        done += (size_t)sent;
    }
}

static void receive_all(void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(peer, (char *)data + done, size - done);
        require(got > 0, "receive");
        done += (size_t)got;
    }
}

static void send_request(char kind, uint64_t size)
{
    char request[1 + sizeof size];

    request[0] = kind;
    memcpy(request + 1, &size, sizeof size);
    send_all(request, sizeof request);
}

static void run_sends(int count)
{
    char answer;

    while (count-- > 0) {
        send_request('S', LARGE_SIZE);
        send_all(network_buffer, LARGE_SIZE);
        receive_all(&answer, 1);
    }
}

static void run_receives(int count)
{
    while (count-- > 0) {
        send_request('R', LARGE_SIZE);
        receive_all(network_buffer, LARGE_SIZE);
    }
}

static void run_round_trips(int count)
{
    char answer;

    while (count-- > 0) {
        send_request('R', 1);
        receive_all(&answer, 1);
    }
}

static struct sockaddr_in address(const char *text, int port)
{
    struct sockaddr_in result = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

    inet_pton(AF_INET, text, &result.sin_addr);
    return result;
}

/* The address that QEMU's user network gives the first guest. */
static void set_up_interface(void)
{
    struct ifreq request = { .ifr_name = "eth0" };
    struct sockaddr_in own = address("10.0.2.15", 0), mask = address("255.255.255.0", 0);
    int control = socket(AF_INET, SOCK_DGRAM, 0);

    require(control >= 0, "socket");
    memcpy(&request.ifr_addr, &own, sizeof own);
    for (int waited = 0; ioctl(control, SIOCSIFADDR, &request) != 0; waited += 10) {
        require(waited < DEVICE_WAIT_MS, "no network interface");
        usleep(10000);
    }
    memcpy(&request.ifr_netmask, &mask, sizeof mask);
    require(ioctl(control, SIOCSIFNETMASK, &request) == 0, "network mask");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    require(ioctl(control, SIOCSIFFLAGS, &request) == 0, "network interface");
    close(control);
}

static int connect_peer(int port)
{
    struct sockaddr_in host = address("10.0.2.2", port);
    int on = 1;

    for (int waited = 0; waited < DEVICE_WAIT_MS; waited += 100) {
        int connection = socket(AF_INET, SOCK_STREAM, 0);
        require(connection >= 0, "socket");
        if (connect(connection, (struct sockaddr *)&host, sizeof host) == 0) {
            setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return connection;
        }
        close(connection);
        usleep(100000);
    }
    return -1;
}

static void measure_network(const char *port)
{
    set_up_interface();
    peer = connect_peer(atoi(port));
    require(peer >= 0, "no connection to the host");
    measure("tcp_send_1m", run_sends, 8);
    measure("tcp_receive_1m", run_receives, 8);
    measure("tcp_round_trip", run_round_trips, 200);
    close(peer);
}

static int has_part(const char *name)
{
    const char *parts = getenv("bench");

    return parts == NULL || strstr(parts, name) != NULL;
}

int main(int count, char **arguments)
{
    if (count > 1 && strcmp(arguments[1], "exit") == 0)
        return 0;

    uint64_t start = now_ns(CLOCK_MONOTONIC);
    uint64_t ticks = __builtin_ia32_rdtsc();
    profiled = getenv("bench_profile");
    if (is_profiled("kernel_start"))
        PROFILE_STOP();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("bench: kernel_start %llu\n", (unsigned long long)start);
    printf("bench: tsc_at_init %llu\n", (unsigned long long)ticks);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    if (is_profiled("kernel_start")) {
        puts("profile: 1");
        end_profile();
    }
    if (has_part("cpu"))
        measure_cpu();
    const char *port = getenv("bench_peer");
    if (has_part("disk") || port != NULL)
        load_modules();
    if (has_part("disk"))
        measure_disk();
    if (port != NULL)
        measure_network(port);
    puts("bench: done");
    power_off();
}
