using System;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Backends;

/// <summary>The pages and the event channel of one shared ring.</summary>
internal sealed class RingAttachment : ServiceChannelHandler
{
    private readonly SerialWorker _worker;
    private readonly PinnedGrant[] _pins;
    private readonly ulong[] _frames;
    private Domain? _guest;
    private ServiceChannel? _channel;
    private int _count;

    /// <summary>Connected to nothing.</summary>
    /// <param name="worker">What events wake.</param>
    /// <param name="maximumPages">The most pages of the ring.</param>
    internal RingAttachment(SerialWorker worker, int maximumPages)
    {
        _worker = worker;
        _pins = new PinnedGrant[maximumPages];
        _frames = new ulong[maximumPages];
    }

    /// <summary>The pinned frames in the order of the ring.</summary>
    internal ReadOnlySpan<ulong> Frames => new(_frames, 0, _count);

    /// <summary>Whether an event channel is bound.</summary>
    internal bool IsBound => _channel != null;

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

    /// <summary>Binds the guest's port.</summary>
    /// <returns>0 or a negative errno.</returns>
    internal int Bind(uint port) =>
        _guest == null ? -Abi.Xen.Errno.EINVAL : ServiceChannel.TryBind(_guest, port, this, out _channel);

    /// <summary>Sends the guest an event.</summary>
    internal void Notify()
    {
        if (_channel != null)
        {
            _channel.Notify();
        }
    }

    /// <summary>Closes the channel and lets go of the pages.</summary>
    internal void Release()
    {
        if (_channel != null)
        {
            _channel.Close();
            _channel = null;
        }

        for (int i = 0; i < _count; i++)
        {
            GrantPin.Unpin(_guest!, in _pins[i]);
        }

        _count = 0;
    }

    /// <inheritdoc/>
    public override void Raised() => _worker.Kick();
}
