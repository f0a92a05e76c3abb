using System;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// The debug console of QEMU and Bochs: every byte written to port 0xe9 appears on the host. There only when L0 was asked for
/// it (<c>-device isa-debugcon</c>).
/// </summary>
public sealed class DebugPort : LogSink
{
    private const ushort Port = 0xe9;

    private DebugPort()
    {
    }

    /// <summary>The debug console; null when there is none.</summary>
    public static DebugPort? Create() => Cpu.PortRead8(Port) == Port ? new DebugPort() : null;

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> bytes)
    {
        foreach (byte value in bytes)
        {
            Cpu.PortWrite8(Port, value);
        }
    }
}
