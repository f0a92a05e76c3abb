using System;

namespace Blanket.Store;

/// <summary>Zero-terminated strings one behind the other, as in payloads and in lists of children's names, taken one by one.</summary>
public ref struct TerminatedStrings
{
    private ReadOnlySpan<byte> _rest;

    /// <summary>All strings of <paramref name="payload"/>.</summary>
    public TerminatedStrings(ReadOnlySpan<byte> payload)
    {
        _rest = payload;
    }

    /// <summary>What follows the strings taken so far.</summary>
    public readonly ReadOnlySpan<byte> Rest => _rest;

    /// <summary>Terminated strings that have not been taken.</summary>
    public readonly int Count
    {
        get
        {
            int count = 0;
            for (int i = 0; i < _rest.Length; i++)
            {
                count += _rest[i] == 0 ? 1 : 0;
            }

            return count;
        }
    }

    /// <summary>The whole payload as one string: exactly one terminator, at the end.</summary>
    public static bool TryTakeOnly(ReadOnlySpan<byte> payload, out ReadOnlySpan<byte> text)
    {
        TerminatedStrings strings = new(payload);
        return strings.TryTake(out text) && strings.Rest.IsEmpty;
    }

    /// <summary>Takes the next string, without its terminator; false when none is terminated.</summary>
    public bool TryTake(out ReadOnlySpan<byte> text)
    {
        int end = _rest.IndexOf((byte)0);
        if (end < 0)
        {
            text = default;
            return false;
        }

        text = _rest[..end];
        _rest = _rest[(end + 1)..];
        return true;
    }
}
