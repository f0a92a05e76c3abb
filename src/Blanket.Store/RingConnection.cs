using System;
using System.Buffers.Binary;
using Blanket.Abi;

namespace Blanket.Store;

/// <summary>
/// A domain's connection through its interface page. One request is in work at a time: its bytes are collected, it is served,
/// and its reply leaves through the same buffer before the next request is read. Watch events wait in their queue while the
/// response ring is full. Nothing that the domain writes into the page can do more than break this connection.
/// </summary>
internal sealed class RingConnection : StoreConnection
{
    private const int MessageSize = XenStoreWire.HeaderSize + XenStoreWire.PayloadMax;

    private readonly WireProtocol _protocol;
    private readonly EventTable _events;
    private readonly WatchOperations _watches;
    private readonly TicketTable _tickets;
    private readonly DomainTable _domains;
    private readonly byte[] _message = new byte[MessageSize];
    private readonly byte[] _event = new byte[MessageSize];
    private readonly StoreRing _ring;
    private int _received;
    private int _replyLength;
    private int _replySent;
    private int _replyTicket = Link.None;
    private int _eventLength;
    private int _eventSent;
    private int _eventTicket = Link.None;
    private bool _moved;

    /// <summary>A connection over a ring; <see cref="Start"/> begins it.</summary>
    internal RingConnection(
        ushort domid,
        StoreRing ring,
        WireProtocol protocol,
        EventTable events,
        WatchOperations watches,
        TicketTable tickets,
        DomainTable domains)
        : base(domid)
    {
        _ring = ring;
        _protocol = protocol;
        _events = events;
        _watches = watches;
        _tickets = tickets;
        _domains = domains;
    }

    private enum Progress
    {
        /// <summary>All done.</summary>
        Done,

        /// <summary>The domain has to read or write first.</summary>
        Blocked,

        /// <summary>The domain broke the rules.</summary>
        Broken,
    }

    /// <summary>Whether the domain broke the rules, and the connection waits for being reset.</summary>
    internal bool IsBroken { get; private set; }

    /// <summary>Begins, or begins anew: nothing is under way, both rings are empty, the features are offered.</summary>
    internal void Start()
    {
        Drop();
        IsBroken = false;
        _ring.WriteWord(XenStoreWire.RequestConsumer, 0);
        _ring.WriteWord(XenStoreWire.RequestProducer, 0);
        _ring.WriteWord(XenStoreWire.ResponseConsumer, 0);
        _ring.WriteWord(XenStoreWire.ResponseProducer, 0);
        _ring.WriteWord(XenStoreWire.ConnectionError, XenStoreWire.ErrorNone);
        _ring.WriteWord(
            XenStoreWire.ServerFeatures,
            XenStoreWire.FeatureReconnection | XenStoreWire.FeatureError | XenStoreWire.FeatureWatchDepth);
        if (_ring.ReadWord(XenStoreWire.Connection) == XenStoreWire.Reconnect)
        {
            _ring.WriteWord(XenStoreWire.Connection, XenStoreWire.Connected);
            _ring.Notify();
        }
    }

    /// <summary>Ends: gives up everything that the connection holds, and the ring.</summary>
    internal override void Stop()
    {
        Drop();
        _ring.Close();
    }

    /// <inheritdoc/>
    internal override bool Serve()
    {
        if (_ring.ReadWord(XenStoreWire.Connection) == XenStoreWire.Reconnect)
        {
            Start();
        }

        if (IsBroken)
        {
            return false;
        }

        _moved = false;
        bool more = ServeRequest();
        if (_moved)
        {
            _ring.Notify();
        }

        return more;
    }

    /// <inheritdoc/>
    internal override void EventDropped()
    {
        if (EventsBeforeReply > 0)
        {
            EventsBeforeReply--;
        }
    }

    private bool ServeRequest()
    {
        if (Send() == Progress.Broken || _replyLength > 0 || _domains.IsThrottled(Domain))
        {
            return false;
        }

        if (Receive() != Progress.Done)
        {
            return false;
        }

        Answer();
        return Send() != Progress.Broken && _replyLength == 0;
    }

    /// <summary>Serves the request in the buffer and puts the reply there.</summary>
    private void Answer()
    {
        EventsBeforeReply = -1;
        _tickets.Open(Domain);
        _replyLength = _protocol.Answer(this, _message, _received);
        _replySent = 0;
        _received = 0;
        _replyTicket = _tickets.Close();
        if (EventsBeforeReply < 0)
        {
            EventsBeforeReply = EventCount;
        }
    }

    /// <summary>Collects the bytes of a request.</summary>
    private Progress Receive()
    {
        if (_received < XenStoreWire.HeaderSize)
        {
            Progress header = Receive(XenStoreWire.HeaderSize);
            if (header != Progress.Done)
            {
                return header;
            }
        }

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(
            new ReadOnlySpan<byte>(_message, XenStoreWire.HeaderLength, sizeof(uint)));
        return length > XenStoreWire.PayloadMax
            ? Break(XenStoreWire.ErrorProtocol)
            : Receive(XenStoreWire.HeaderSize + (int)length);
    }

    /// <summary>Receives until the buffer holds <paramref name="wanted"/> bytes.</summary>
    private Progress Receive(int wanted)
    {
        if (_received == wanted)
        {
            return Progress.Done;
        }

        uint consumer = _ring.ReadWord(XenStoreWire.RequestConsumer);
        uint producer = _ring.ReadWord(XenStoreWire.RequestProducer);
        uint available = unchecked(producer - consumer);
        if (available > XenStoreWire.RingSize)
        {
            return Break(XenStoreWire.ErrorRingIndex);
        }

        int count = Math.Min(wanted - _received, (int)available);
        if (count > 0)
        {
            CopyFromRing(consumer, new Span<byte>(_message, _received, count));
            _received += count;
            _ring.WriteWord(XenStoreWire.RequestConsumer, unchecked(consumer + (uint)count));
            _moved = true;
        }

        return _received == wanted ? Progress.Done : Progress.Blocked;
    }

    /// <summary>Sends what waits: events that came before the reply, the reply, later events.</summary>
    private Progress Send()
    {
        while (true)
        {
            Progress progress = Progress.Done;
            if (_eventLength > 0)
            {
                progress = Send(_event, _eventLength, ref _eventSent);
                if (progress == Progress.Done)
                {
                    _eventLength = 0;
                    ReleaseTicket(ref _eventTicket);
                }
            }
            else if (_replyLength > 0 && EventsBeforeReply == 0)
            {
                progress = Send(_message, _replyLength, ref _replySent);
                if (progress == Progress.Done)
                {
                    _replyLength = 0;
                    ReleaseTicket(ref _replyTicket);
                }
            }
            else if (EventCount > 0)
            {
                TakeEvent();
            }
            else
            {
                return Progress.Done;
            }

            if (progress != Progress.Done)
            {
                return progress;
            }
        }
    }

    private void TakeEvent()
    {
        int length = _events.Take(
            this, new Span<byte>(_event, XenStoreWire.HeaderSize, XenStoreWire.PayloadMax), out _eventTicket);
        WireProtocol.WriteHeader(_event, XenStoreMessage.WatchEvent, 0, 0, length);
        _eventLength = XenStoreWire.HeaderSize + length;
        _eventSent = 0;
        if (EventsBeforeReply > 0)
        {
            EventsBeforeReply--;
        }
    }

    /// <summary>Sends the rest of a message, as much as there is room for.</summary>
    private Progress Send(byte[] message, int length, ref int sent)
    {
        uint consumer = _ring.ReadWord(XenStoreWire.ResponseConsumer);
        uint producer = _ring.ReadWord(XenStoreWire.ResponseProducer);
        uint used = unchecked(producer - consumer);
        if (used > XenStoreWire.RingSize)
        {
            return Break(XenStoreWire.ErrorRingIndex);
        }

        int count = Math.Min(length - sent, XenStoreWire.RingSize - (int)used);
        if (count > 0)
        {
            CopyToRing(producer, new ReadOnlySpan<byte>(message, sent, count));
            sent += count;
            _ring.WriteWord(XenStoreWire.ResponseProducer, unchecked(producer + (uint)count));
            _moved = true;
        }

        return sent == length ? Progress.Done : Progress.Blocked;
    }

    private void CopyFromRing(uint position, Span<byte> destination)
    {
        int start = (int)(position & (XenStoreWire.RingSize - 1));
        int first = Math.Min(destination.Length, XenStoreWire.RingSize - start);
        _ring.ReadBytes(XenStoreWire.RequestRing + start, destination[..first]);
        _ring.ReadBytes(XenStoreWire.RequestRing, destination[first..]);
    }

    private void CopyToRing(uint position, ReadOnlySpan<byte> source)
    {
        int start = (int)(position & (XenStoreWire.RingSize - 1));
        int first = Math.Min(source.Length, XenStoreWire.RingSize - start);
        _ring.WriteBytes(XenStoreWire.ResponseRing + start, source[..first]);
        _ring.WriteBytes(XenStoreWire.ResponseRing, source[first..]);
    }

    /// <summary>Ends all talking because the domain broke the rules, and tells it why.</summary>
    private Progress Break(uint error)
    {
        Drop();
        IsBroken = true;
        _ring.WriteWord(XenStoreWire.ConnectionError, error);
        _ring.Notify();
        return Progress.Broken;
    }

    /// <summary>Forgets everything under way: watches, transactions, events, request and reply.</summary>
    private void Drop()
    {
        _watches.Reset(this);
        _events.Clear(this);
        ReleaseTicket(ref _replyTicket);
        ReleaseTicket(ref _eventTicket);
        _received = 0;
        _replyLength = 0;
        _eventLength = 0;
        EventsBeforeReply = 0;
    }

    private void ReleaseTicket(ref int ticket)
    {
        int released = ticket;
        ticket = Link.None;
        _tickets.Release(released);
    }
}
