using System;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Core.Hypercalls;

/// <summary>
/// HYPERVISOR_console_io (CONSOLEIO_* of xen/include/public/xen.h): a guest's early messages, line by line into the hypervisor's
/// log, at most <see cref="LinesPerSecond"/> a guest. Reading is for control domains.
/// </summary>
public static class ConsoleIoHypercall
{
    private const uint Write = 0;
    private const uint LinesPerSecond = 64;
    private const int MaximumLine = 160;
    private const ulong Second = 1_000_000_000;

    /// <summary>A1 CONSOLEIO_*, A2 bytes, A3 guest address.</summary>
    public static long Handle(Vcpu caller, ref HypercallArguments arguments)
    {
        if ((uint)arguments.A1 != Write)
        {
            return -Errno.EPERM;
        }

        uint remaining = (uint)arguments.A2;
        if (remaining > int.MaxValue)
        {
            return -Errno.EINVAL;
        }

        Span<byte> line = stackalloc byte[MaximumLine];
        Span<byte> text = line.Slice(0, (int)Math.Min(remaining, MaximumLine));
        if (!GuestMemory.TryRead(arguments.A3, text))
        {
            return -Errno.EFAULT;
        }

        int end = ((ReadOnlySpan<byte>)text).IndexOf((byte)'\n');
        int length = end < 0 ? text.Length : end;
        if (length > 0 && caller.Domain.MayLogLine(SystemTime.Now, LinesPerSecond, Second))
        {
            Log.Line("domain "u8).Decimal(caller.Domain.Id).Text(" says "u8).Quoted(text.Slice(0, length)).End();
        }

        uint taken = (uint)(end < 0 ? length : length + 1);
        if (taken >= remaining)
        {
            return 0;
        }

        arguments.A2 = remaining - taken;
        arguments.A3 = unchecked(arguments.A3 + taken);
        return HypercallArguments.Restart;
    }
}
