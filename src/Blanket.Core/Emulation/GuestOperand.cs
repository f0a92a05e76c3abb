using System;
using System.Runtime.InteropServices;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>Memory operands of 1 to 8 bytes of the running guest.</summary>
internal static class GuestOperand
{
    /// <summary>Reads an operand, zero-extended.</summary>
    internal static bool TryRead(ulong address, int size, out ulong value)
    {
        value = 0;
        return GuestMemory.TryRead(address, MemoryMarshal.AsBytes(new Span<ulong>(ref value)).Slice(0, size));
    }

    /// <summary>Writes the low bytes of a value.</summary>
    internal static bool TryWrite(ulong address, int size, ulong value) =>
        GuestMemory.TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in value)).Slice(0, size));
}
