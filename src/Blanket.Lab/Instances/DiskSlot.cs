namespace Blanket.Lab.Instances;

/// <summary>
/// A disk device of the machine. What is behind it changes with the guests that come and go, the device does not: it stays writable or
/// read-only, and keeps its serial.
/// </summary>
/// <param name="Serial">How the hypervisor finds it, and its id in QEMU.</param>
/// <param name="ReadOnly">Whether it takes no writes.</param>
/// <param name="Guest">Who has it; null when it is free.</param>
public sealed record DiskSlot(string Serial, bool ReadOnly, string? Guest);
