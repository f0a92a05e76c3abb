using System;
using System.Runtime.CompilerServices;
using Blanket.Machine;

namespace Blanket.Core.Emulation;

/// <summary>The bytes of the guest's code at one address, copied once. An instruction may end before an unmapped page.</summary>
internal struct InstructionBytes
{
    /// <summary>The longest instruction (Intel SDM vol. 2, 2.3.11).</summary>
    internal const int MaximumLength = 15;

    [InlineArray(MaximumLength)]
    private struct Buffer
    {
        private byte _first;
    }

    private Buffer _bytes;

    /// <summary>Bytes that could be read, from the first; the next one, if there is one, is on a page that faults.</summary>
    internal int Count;

    /// <summary>The byte at a position below <see cref="Count"/>.</summary>
    internal readonly byte this[int index] => _bytes[index];

    /// <summary>Bytes given by themselves, for tests and for what has been read already.</summary>
    internal static InstructionBytes From(ReadOnlySpan<byte> bytes)
    {
        InstructionBytes result = default;
        result.Count = Math.Min(bytes.Length, MaximumLength);
        bytes.Slice(0, result.Count).CopyTo(result._bytes);
        return result;
    }

    /// <summary>Reads the running guest's code.</summary>
    internal static InstructionBytes Fetch(ulong address)
    {
        InstructionBytes result = default;
        Span<byte> bytes = result._bytes;
        int onPage = Cpu.PageSize - (int)(address & (Cpu.PageSize - 1));
        if (GuestMemory.TryRead(address, bytes))
        {
            result.Count = MaximumLength;
        }
        else if (onPage < MaximumLength && GuestMemory.TryRead(address, bytes.Slice(0, onPage)))
        {
            result.Count = onPage;
        }

        return result;
    }
}
