using System;
using Blanket.Drivers.Xen.Console;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Xen;

/// <summary>The log on the console of L1's domain. What does not fit while nobody reads is lost.</summary>
internal sealed class XenConsoleSink(XenConsolePort port) : LogSink
{
    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> bytes) => port.Send(bytes);
}
