using System;
using Blanket.Core.Domains;
using Blanket.Core.Grants;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>The granted pages of a shared ring, pinned while it is in use.</summary>
internal sealed class RingPages
{
    private readonly PinnedGrant[] _pins;
    private readonly ulong[] _frames;
    private Domain? _guest;
    private int _count;

    /// <summary>No pages.</summary>
    /// <param name="maximum">The most pages of the ring.</param>
    internal RingPages(int maximum)
    {
        _pins = new PinnedGrant[maximum];
        _frames = new ulong[maximum];
    }

    /// <summary>The pinned frames in the order of the ring.</summary>
    internal ReadOnlySpan<ulong> Frames => new(_frames, 0, _count);

    /// <summary>Pins the pages of a ring. On an error nothing is held.</summary>
    /// <returns>0 or a negative errno.</returns>
    internal int Pin(Domain guest, ReadOnlySpan<uint> references)
    {
        _guest = guest;
        for (int i = 0; i < references.Length; i++)
        {
            int error = GrantPin.TryPin(guest, references[i], true, out _pins[i]);
            if (error != 0)
            {
                Release();
                return error;
            }

            _frames[i] = _pins[i].Frame;
            _count = i + 1;
            if (!_pins[i].Covers(0, Cpu.PageSize))
            {
                Release();
                return -Abi.Xen.Errno.EINVAL;
            }
        }

        return 0;
    }

    /// <summary>Pins the only page of a ring.</summary>
    /// <returns>0 or a negative errno.</returns>
    internal int Pin(Domain guest, uint reference) => Pin(guest, new ReadOnlySpan<uint>(in reference));

    /// <summary>Lets go of the pages.</summary>
    internal void Release()
    {
        for (int i = 0; i < _count; i++)
        {
            GrantPin.Unpin(_guest!, in _pins[i]);
        }

        _count = 0;
    }
}
