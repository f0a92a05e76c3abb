using System.Collections.Generic;

namespace Blanket.Lab.Bench;

/// <summary>One thing that is measured.</summary>
/// <param name="Name">Its name in the lines of the measuring program and in JSON.</param>
/// <param name="Title">Its name for people.</param>
/// <param name="IsDevice">Whether the time of a device counts; then instructions say nothing.</param>
/// <param name="Unit">What it is measured in; null for the guest's time.</param>
public sealed record BenchRow(string Name, string Title, bool IsDevice = false, string? Unit = null)
{
    /// <summary>Unit of the guest's time.</summary>
    /// <param name="countInstructions">Whether the clock counts instructions.</param>
    public string UnitOf(bool countInstructions) => Unit ?? (countInstructions ? "instructions" : "ns");

    /// <summary>Row that the layer itself measures: from its entry to the start of the guest's kernel.</summary>
    internal const string LayerStart = "layer_start";

    /// <summary>Row that the layer itself measures: memory that is neither the guest's nor free.</summary>
    internal const string LayerMemory = "layer_memory";

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
        new("disk_read_4k", "4 KiB random read", IsDevice: true),
        new("disk_write_4k", "4 KiB random write", IsDevice: true),
        new("disk_read_1m", "1 MiB sequential read", IsDevice: true),
        new("disk_write_1m", "1 MiB sequential write", IsDevice: true),
        new("tcp_send_1m", "1 MiB sent by TCP", IsDevice: true),
        new("tcp_receive_1m", "1 MiB received by TCP", IsDevice: true),
        new("tcp_round_trip", "TCP round trip", IsDevice: true),
        new(LayerStart, "entry of the layer to the guest's kernel", Unit: "us"),
        new(LayerMemory, "memory of the layer", Unit: "KiB"),
    ];
}
