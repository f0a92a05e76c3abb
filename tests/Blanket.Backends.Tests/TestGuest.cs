using System;
using System.Collections.Generic;
using System.Linq;
using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>A guest's memory, grants and event channels, and what the backends hold of them.</summary>
internal sealed class TestGuest
{
    private readonly Dictionary<uint, Entry> _grants = new();
    private readonly Dictionary<uint, Channel> _channels = new();
    private uint _nextReference = 8;
    private uint _nextPort = 1;

    internal TestGuest(TestMachine machine, Domain domain)
    {
        Machine = machine;
        Domain = domain;
        Grants.Guests[domain] = this;
    }

    internal TestMachine Machine { get; }

    internal Domain Domain { get; }

    internal int PinCount => _grants.Values.Sum(grant => grant.Pins);

    internal int BoundPorts => _channels.Values.Count(channel => channel.Handler != null);

    internal string Home => $"/local/domain/{Domain.Id}";

    internal ulong NewFrame()
    {
        Assert.True(FrameAllocator.TryAllocateZeroed(out ulong frame));
        return frame;
    }

    internal uint Grant(ulong frame, bool readOnly = false)
    {
        uint reference = _nextReference++;
        _grants[reference] = new Entry { Frame = frame, IsReadOnly = readOnly };
        return reference;
    }

    internal void GrantAt(uint reference, ulong frame) => _grants[reference] = new Entry { Frame = frame };

    /// <summary>Ends a grant; true when nobody uses it.</summary>
    internal bool EndGrant(uint reference)
    {
        if (_grants[reference].Pins != 0)
        {
            return false;
        }

        _grants.Remove(reference);
        return true;
    }

    internal uint NewPort()
    {
        uint port = _nextPort++;
        _channels[port] = new Channel();
        return port;
    }

    /// <summary>Sends an event through a port.</summary>
    internal void Send(uint port)
    {
        ServiceChannelHandler? handler = _channels[port].Handler;
        if (handler != null)
        {
            handler.Raised();
        }
    }

    /// <summary>Takes the events that came in through a port.</summary>
    internal int TakeEvents(uint port)
    {
        int events = _channels[port].Events;
        _channels[port].Events = 0;
        return events;
    }

    internal static void Install()
    {
        GrantPin.Current = new Grants();
        ServiceChannel.Binder = new Channel();
    }

    private sealed class Entry
    {
        internal ulong Frame;
        internal bool IsReadOnly;
        internal int Pins;
    }

    private sealed class Grants : GrantPin
    {
        internal static readonly Dictionary<Domain, TestGuest> Guests = new();

        public override int Pin(Domain granter, uint reference, bool writable, out PinnedGrant pin)
        {
            pin = default;
            if (!Guests[granter]._grants.TryGetValue(reference, out Entry? grant) || (writable && grant.IsReadOnly))
            {
                return -Errno.EINVAL;
            }

            grant.Pins++;
            pin = new PinnedGrant { Frame = grant.Frame, Reference = reference, Writable = writable };
            return 0;
        }

        public override void Drop(Domain granter, in PinnedGrant pin)
        {
            Entry grant = Guests[granter]._grants[pin.Reference];
            Assert.True(grant.Pins > 0);
            grant.Pins--;
        }
    }

    private sealed class Channel : ServiceChannel
    {
        internal ServiceChannelHandler? Handler;
        internal int Events;

        public override ServiceChannel? Bind(Domain guest, uint port, ServiceChannelHandler handler)
        {
            if (!Grants.Guests[guest]._channels.TryGetValue(port, out Channel? channel) || channel.Handler != null)
            {
                return null;
            }

            channel.Handler = handler;
            return channel;
        }

        public override void Notify() => Events++;

        public override void Close() => Handler = null;
    }
}
