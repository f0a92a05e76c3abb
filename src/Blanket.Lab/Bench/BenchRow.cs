using System.Collections.Generic;

namespace Blanket.Lab.Bench;

/// <summary>One thing that is measured.</summary>
/// <param name="Name">Its name in the lines of the measuring program and in JSON.</param>
/// <param name="Title">Its name for people.</param>
/// <param name="IsDisk">Whether the time of a device counts; then instructions say nothing.</param>
public sealed record BenchRow(string Name, string Title, bool IsDisk = false)
{
    /// <summary>Every row in the order of the table.</summary>
    public static IReadOnlyList<BenchRow> All { get; } =
    [
        new("kernel_start", "kernel start to init"),
        new("getpid", "getpid"),
        new("read", "1-byte read of /dev/zero"),
        new("stat", "stat"),
        new("signal", "signal"),
        new("page_fault", "page fault"),
        new("mprotect", "2x mprotect"),
        new("pipe_round_trip", "pipe round trip"),
        new("fork", "fork"),
        new("fork_exec", "fork+exec"),
        new("disk_read_4k", "4 KiB random read", IsDisk: true),
        new("disk_write_4k", "4 KiB random write", IsDisk: true),
        new("disk_read_1m", "1 MiB sequential read", IsDisk: true),
        new("disk_write_1m", "1 MiB sequential write", IsDisk: true),
    ];
}
