using System;
using System.Threading;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Drivers.Xen.Net;

/// <summary>The frontend of a virtual network interface (io/netif.h): a transmit and a receive ring a queue, which share an event channel.</summary>
internal sealed class XenNetDevice : QueuedFrontend
{
    private const int MacLength = 6;
    private const ushort DefaultMtu = 1500;
    private const ushort MinimumMtu = 68;

    // Packets of one event, each way, before other work has its turn.
    private const int PacketBudget = NetReceiveQueue.Capacity;

    private readonly NetTransmitQueue?[] _transmit = new NetTransmitQueue?[MaximumQueues];
    private readonly NetReceiveQueue?[] _receive = new NetReceiveQueue?[MaximumQueues];
    private readonly byte[] _mac = new byte[MacLength];
    private NetworkCapabilities _capabilities;
    private bool _takesPieces;
    private bool _copies;

    public XenNetDevice(XenTransport xen, uint deviceId)
        : base(xen, FrontendKind.Net, deviceId)
    {
        Interface = new XenNet(this);
        _capabilities.MaximumSegments = NetTransmitQueue.MaximumPieces;
        _capabilities.ReceiveBufferSize = NetReceiveQueue.BufferSize;
        _capabilities.Mtu = DefaultMtu;

        // A locally administered unicast address until the store tells the device's.
        _mac[0] = 2;
        _mac[MacLength - 1] = (byte)deviceId;
    }

    /// <summary>What is used of the device.</summary>
    public XenNet Interface { get; }

    /// <summary>Hardware address.</summary>
    public ReadOnlySpan<byte> MacAddress => _mac;

    /// <summary>What the device can do.</summary>
    public ref readonly NetworkCapabilities Capabilities => ref _capabilities;

    /// <summary>Whether checksums of IPv6 packets may be left to the backend.</summary>
    public bool TransmitsIpv6Checksum { get; private set; }

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> OfferNames =>
        "multi-queue-max-queues\0feature-rx-copy\0feature-sg\0feature-gso-tcpv4\0feature-gso-tcpv6\0feature-no-csum-offload\0feature-ipv6-csum-offload\0"u8;

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> DetailNames => "/mac\0mac\0/mtu\0mtu\0"u8;

    /// <inheritdoc/>
    protected override XenbusState ReadyState => XenbusState.Connected;

    /// <summary>Transmit queue of a pair.</summary>
    public NetTransmitQueue Transmit(int pair) => _transmit[pair]!;

    /// <summary>Receive queue of a pair.</summary>
    public NetReceiveQueue Receive(int pair) => _receive[pair]!;

    /// <summary>Tells the backend about packets and buffers of a pair.</summary>
    public void KickPair(int pair)
    {
        bool mustNotify = Receive(pair).Publish(out bool mustServeReceive) | Transmit(pair).Publish(out bool mustServeTransmit);
        if (mustNotify)
        {
            Notify(pair);
        }

        if (mustServeReceive || mustServeTransmit)
        {
            ServeLater(pair);
        }
    }

    /// <summary>Checks a packet to send and says how netif describes it.</summary>
    /// <returns>False when the backend must not see it.</returns>
    public bool TryExamine(
        ReadOnlySpan<DmaSegment> segments, in PacketOffload offload, out NetifTransmitFlags flags, out NetifExtraInfo extra, out uint length)
    {
        flags = NetifTransmitFlags.None;
        extra = default;
        length = 0;
        if (segments.Length == 0 || (uint)segments.Length > _capabilities.MaximumSegments)
        {
            return false;
        }

        for (int i = 0; i < segments.Length; i++)
        {
            if (segments[i].Length is 0 or > Netif.MaximumPacket)
            {
                return false;
            }

            length += segments[i].Length;
        }

        return length is >= PacketHeaders.EthernetSize and <= Netif.MaximumPacket && NetTransmitQueue.Fits(segments, length, _takesPieces)
            && TryDescribe(segments[0], in offload, out flags, out extra);
    }

    /// <inheritdoc/>
    protected override bool CreateQueue(int queue)
    {
        DmaMemory? memory = DmaMemory.Create(NetTransmitQueue.MemorySize + NetReceiveQueue.MemorySize, ulong.MaxValue);
        if (memory == null)
        {
            return false;
        }

        _receive[queue] = NetReceiveQueue.Create(Xen.Grants, Health, queue, memory.Address);
        _transmit[queue] = _receive[queue] == null
            ? null
            : NetTransmitQueue.Create(Xen.Grants, Health, queue, memory.Address + NetReceiveQueue.MemorySize);
        if (_transmit[queue] != null)
        {
            return true;
        }

        _receive[queue]?.Free();
        memory.Free();
        return false;
    }

    /// <inheritdoc/>
    protected override bool TryPrepareQueue(int queue, BackendNodes offer, FrontendNodes nodes, ReadOnlySpan<byte> prefix)
    {
        if (!Receive(queue).TryPrepare(BackendDomain) || !Transmit(queue).TryPrepare(BackendDomain))
        {
            return false;
        }

        AddQueueNode(nodes, prefix, "tx-ring-ref"u8, Transmit(queue).RingReference);
        AddQueueNode(nodes, prefix, "rx-ring-ref"u8, Receive(queue).RingReference);
        return true;
    }

    /// <inheritdoc/>
    protected override void ParkQueue(int queue) => GiveUpQueue(queue);

    /// <inheritdoc/>
    protected override void AddNodes(BackendNodes offer, FrontendNodes nodes)
    {
        _copies = offer.ReadFlag("feature-rx-copy"u8);
        _takesPieces = offer.ReadFlag("feature-sg"u8);
        _capabilities.TransmitChecksum = !offer.ReadFlag("feature-no-csum-offload"u8);
        TransmitsIpv6Checksum = offer.ReadFlag("feature-ipv6-csum-offload"u8);
        _capabilities.TransmitTcpIpv4 = _takesPieces && _capabilities.TransmitChecksum && offer.ReadFlag("feature-gso-tcpv4"u8);
        _capabilities.TransmitTcpIpv6 = _takesPieces && TransmitsIpv6Checksum && offer.ReadFlag("feature-gso-tcpv6"u8);

        nodes.Add("request-rx-copy"u8, 1);
        nodes.Add("feature-rx-notify"u8, 1);
        nodes.Add("feature-sg"u8, 1);
        nodes.Add("feature-gso-tcpv4"u8, 1);
        nodes.Add("feature-gso-tcpv6"u8, 1);
        nodes.Add("feature-ipv6-csum-offload"u8, 1);
    }

    /// <inheritdoc/>
    protected override bool Connect(BackendNodes details)
    {
        if (!_copies)
        {
            // Page flipping is gone from every Xen of the last decade.
            return false;
        }

        ReadProperties(details);
        for (int i = 0; i < ActiveQueues; i++)
        {
            Transmit(i).Connect(_takesPieces);
        }

        Introduce();
        Connected();
        for (int i = 0; i < ActiveQueues; i++)
        {
            // The backend may have waited for buffers, or sent its event before anybody listened.
            Notify(i);
        }

        return true;
    }

    /// <inheritdoc/>
    protected override void Update(BackendNodes details)
    {
        if (!ReadProperties(details))
        {
            return;
        }

        LogLine line = Describe();
        AppendAddress(ref line);
        line.Text(", now MTU "u8).Decimal(_capabilities.Mtu).End();
        Interface.Client?.LinkChanged();
    }

    /// <inheritdoc/>
    protected override void StopQueue(int queue)
    {
        // Buffers stay granted until the backend has let go.
        Transmit(queue).Disconnect();
        Receive(queue).Disconnect();
    }

    /// <inheritdoc/>
    protected override void GiveUpQueue(int queue)
    {
        Transmit(queue).GiveUp();
        Receive(queue).GiveUp();
    }

    /// <inheritdoc/>
    protected override void ServeQueue(int index)
    {
        NetworkClient? client = Interface.Client;
        int receiveBudget = PacketBudget;
        do
        {
            ReceivePackets(index, client, ref receiveBudget);
            if (Receive(index).MustPublish && Receive(index).Publish(out _))
            {
                Notify(index);
            }
        }
        while (receiveBudget > 0 && !Receive(index).TryRequestEvent());

        NetTransmitQueue transmit = Transmit(index);
        int sendBudget = PacketBudget;
        do
        {
            while (sendBudget > 0 && transmit.TryTakeSent(out uint tag, out int owner))
            {
                sendBudget--;
                client?.Sent(owner, tag);
            }
        }
        while (sendBudget > 0 && !transmit.TryRequestEvent());

        if (client != null)
        {
            TellClient(client, index, receiveBudget + sendBudget < 2 * PacketBudget, IsFailed ? transmit.TakeRefused() : transmit.TakeRoomAvailable());
        }

        if (receiveBudget == 0 || sendBudget == 0)
        {
            ServeLater(index);
        }
    }

    /// <inheritdoc/>
    protected override void Changed()
    {
        for (int i = 0; i < QueueCount; i++)
        {
            Interface.Client?.RoomAvailable(i);
        }

        Interface.Client?.LinkChanged();
    }

    private void TellClient(NetworkClient client, int index, bool hasNews, bool hasRoom)
    {
        for (int i = index; i < QueueCount; i++)
        {
            if (i != index && !IsServedBy(i, index))
            {
                continue;
            }

            if (hasNews)
            {
                client.InterruptEnd(i);
            }

            if (hasRoom)
            {
                client.RoomAvailable(i);
            }
        }
    }

    private void ReceivePackets(int index, NetworkClient? client, ref int budget)
    {
        Span<uint> tags = stackalloc uint[NetReceiveQueue.MaximumBuffers];
        while (budget > 0 && Receive(index).TryTake(tags, out ReceivedPacket packet))
        {
            budget--;
            if (packet.Fault != FrontendFault.None)
            {
                Health.Report(packet.Fault, index, packet.FaultDetail);
            }

            if (client == null)
            {
                continue;
            }

            if (packet.Length != 0)
            {
                client.Received(index, tags.Slice(0, packet.BufferCount), packet.Offset, packet.Length, in packet.Offload);
                continue;
            }

            for (int i = 0; i < packet.BufferCount; i++)
            {
                client.ReceiveBufferReturned(index, tags[i]);
            }
        }
    }

    private bool TryDescribe(DmaSegment start, in PacketOffload offload, out NetifTransmitFlags flags, out NetifExtraInfo extra)
    {
        flags = NetifTransmitFlags.None;
        extra = default;
        if (!offload.NeedsChecksum)
        {
            flags = offload.ChecksumIsValid ? NetifTransmitFlags.DataValidated : NetifTransmitFlags.None;
            return offload.Segmentation == SegmentationType.None;
        }

        if (start.Length < PacketHeaders.EthernetSize)
        {
            return false;
        }

        PacketHeaders headers = PacketHeaders.Parse(PhysicalMemory.Bytes(start.Address, (int)Math.Min(start.Length, NetWire.HeaderBytes)));
        if (!Interface.CanChecksum(in offload, in headers))
        {
            return false;
        }

        flags = NetifTransmitFlags.ChecksumBlank | NetifTransmitFlags.DataValidated;
        if (offload.Segmentation == SegmentationType.None)
        {
            return true;
        }

        bool isKnown = offload.Segmentation switch
        {
            SegmentationType.TcpIpv4 => headers.IsIpv4 && _capabilities.TransmitTcpIpv4,
            SegmentationType.TcpIpv6 => headers.IsIpv6 && _capabilities.TransmitTcpIpv6,
            _ => false,
        };
        extra = NetifOffload.LargeInfo(in offload);
        return isKnown && headers.Protocol == PacketHeaders.Tcp && offload.SegmentSize != 0;
    }

    // Whether something is other than it was.
    private bool ReadProperties(BackendNodes details)
    {
        Span<byte> mac = stackalloc byte[MacLength];
        ReadOnlySpan<byte> old = _mac;
        bool hasMac = (details.TryRead("/mac"u8, out ReadOnlySpan<byte> text) && TryParseAddress(text, mac))
            || (details.TryRead("mac"u8, out text) && TryParseAddress(text, mac));
        bool isOther = hasMac && !old.SequenceEqual(mac);
        if (isOther)
        {
            mac.CopyTo(_mac);
        }

        ushort mtu = details.TryRead("/mtu"u8, ushort.MaxValue, out ulong value) || details.TryRead("mtu"u8, ushort.MaxValue, out value)
            ? (ushort)value : DefaultMtu;
        mtu = mtu < MinimumMtu ? DefaultMtu : mtu;
        isOther |= mtu != _capabilities.Mtu;
        Volatile.Write(ref _capabilities.Mtu, mtu);
        return isOther;
    }

    // Six numbers of two hexadecimal digits with colons between.
    private static bool TryParseAddress(ReadOnlySpan<byte> text, Span<byte> address)
    {
        if (text.Length != 3 * MacLength - 1)
        {
            return false;
        }

        for (int i = 0; i < MacLength; i++)
        {
            int high = HexValue(text[3 * i]);
            int low = HexValue(text[3 * i + 1]);
            if (high < 0 || low < 0 || (i != 0 && text[3 * i - 1] != (byte)':'))
            {
                return false;
            }

            address[i] = (byte)(high << 4 | low);
        }

        return true;
    }

    private static int HexValue(byte digit) => digit switch
    {
        >= (byte)'0' and <= (byte)'9' => digit - '0',
        >= (byte)'a' and <= (byte)'f' => digit - 'a' + 10,
        >= (byte)'A' and <= (byte)'F' => digit - 'A' + 10,
        _ => -1,
    };

    private void AppendAddress(ref LogLine line)
    {
        PathBuilder text = new(stackalloc byte[3 * MacLength]);
        for (int i = 0; i < MacLength; i++)
        {
            text.Append(i == 0 ? ""u8 : ":"u8);
            text.AppendHex(_mac[i], 2);
        }

        line.Text(", MAC "u8).Text(text.Text);
    }

    private void Introduce()
    {
        LogLine line = Describe();
        AppendAddress(ref line);
        line.Text(", MTU "u8).Decimal(_capabilities.Mtu).Text(", "u8).Decimal((uint)ActiveQueues).Text(" queue pairs, send"u8)
            .Text(_takesPieces ? " sg"u8 : ""u8).Text(_capabilities.TransmitChecksum ? " checksum"u8 : ""u8)
            .Text(TransmitsIpv6Checksum ? " checksum6"u8 : ""u8).Text(_capabilities.TransmitTcpIpv4 ? " tso4"u8 : ""u8)
            .Text(_capabilities.TransmitTcpIpv6 ? " tso6"u8 : ""u8).End();
    }
}
