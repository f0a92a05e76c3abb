/*
 * A plugin of QEMU's software emulation that counts executed instructions by address, for './blanket bench --profile'.
 *
 * Counts live in a shared mapping of the file given as counts=PATH, so that they can be read at any time and outlive a killed QEMU: two
 * words (records known; 1 once stopped), then room for MAXIMUM_BLOCKS records, each of a translated block: its address, its number of
 * instructions and how many instructions ran in it until the count was stopped; then a word for each: how many have run since it was
 * started last. A record whose number of instructions is 0 is of an instruction that empties the TLB, and counts how often it ran. The
 * program of the benchmark starts and stops the count by no-operations that nothing else uses (bench.c, PROFILE_START and PROFILE_STOP).
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The part of QEMU's plugin interface, version 1, that is used here; Debian has no package of its header. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int, void *);
enum { NO_REGISTERS = 0 };
enum { INLINE_ADD_U64 = 0 };
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, qemu_plugin_vcpu_tb_trans_cb_t);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int, void *, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, qemu_plugin_vcpu_udata_cb_t, int, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);

#define EXPORT __attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 1;

/* InstructionCounts.cs knows it, too. */
#define MAXIMUM_BLOCKS (1u << 22)

struct block {
    uint64_t address;
    uint64_t instructions;
    uint64_t executed;
};

struct profile {
    uint64_t blocks;
    uint64_t stopped;
    struct block block[MAXIMUM_BLOCKS];
    uint64_t running[MAXIMUM_BLOCKS];
};

static struct profile *profile;

static void start(unsigned int cpu, void *data)
{
    (void)cpu, (void)data;
    memset(profile->running, 0, profile->blocks * sizeof profile->running[0]);
}

static void stop(unsigned int cpu, void *data)
{
    (void)cpu, (void)data;
    if (profile->stopped)
        return;
    for (uint64_t i = 0; i < profile->blocks; i++)
        profile->block[i].executed = profile->running[i];
    profile->stopped = 1;
}

/* MOV to CR3. */
static bool empties_tlb(const struct qemu_plugin_insn *instruction)
{
    const uint8_t *bytes = qemu_plugin_insn_data(instruction);
    size_t size = qemu_plugin_insn_size(instruction);
    size_t start = size == 4 && (bytes[0] & 0xf0) == 0x40; /* REX */

    return size == start + 3 && bytes[start] == 0x0f && bytes[start + 1] == 0x22 && (bytes[start + 2] & 0xf8) == 0xd8;
}

static uint64_t *new_record(uint64_t address, uint64_t instructions)
{
    if (profile->blocks == MAXIMUM_BLOCKS)
        return NULL;
    uint64_t i = profile->blocks++;
    profile->block[i].address = address;
    profile->block[i].instructions = instructions;
    return &profile->running[i];
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    static const uint8_t start_mark[] = { 0x0f, 0x1f, 0x80, 0x01, 0xb1, 0xa2, 0x7e };
    static const uint8_t stop_mark[] = { 0x0f, 0x1f, 0x80, 0x02, 0xb1, 0xa2, 0x7e };
    size_t count = qemu_plugin_tb_n_insns(tb);

    (void)id;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(tb, i);
        if (empties_tlb(instruction)) {
            uint64_t *counter = new_record(qemu_plugin_insn_vaddr(instruction), 0);
            if (counter != NULL)
                qemu_plugin_register_vcpu_insn_exec_inline(instruction, INLINE_ADD_U64, counter, 1);
        }
        if (qemu_plugin_insn_size(instruction) != sizeof start_mark)
            continue;
        const void *bytes = qemu_plugin_insn_data(instruction);
        if (memcmp(bytes, start_mark, sizeof start_mark) == 0)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, start, NO_REGISTERS, NULL);
        if (memcmp(bytes, stop_mark, sizeof stop_mark) == 0)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, stop, NO_REGISTERS, NULL);
    }
    uint64_t *counter = new_record(qemu_plugin_tb_vaddr(tb), count);
    if (counter != NULL)
        qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, counter, count);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments)
{
    const char *path = NULL;

    (void)info;
    for (int i = 0; i < count; i++)
        if (strncmp(arguments[i], "counts=", 7) == 0)
            path = arguments[i] + 7;
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || ftruncate(file, sizeof *profile) != 0)
        return 1;
    profile = mmap(NULL, sizeof *profile, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (profile == MAP_FAILED)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
