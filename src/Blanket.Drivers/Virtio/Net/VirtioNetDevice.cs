using System;
using System.Threading;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>The network device driver (virtio 1.2, 5.1): one queue group a pair of a receive and a transmit queue.</summary>
internal sealed class VirtioNetDevice : VirtioDevice
{
    private const int QueueCapacity = 256;

    // Buffers of a packet to send, its header included: 17 pages and some.
    private const int MaximumBuffers = 32;

    // Packets of one interrupt, each way, before other work has its turn.
    private const int PacketBudget = QueueCapacity;
    private const ushort DefaultMtu = 1500;
    private const ushort MinimumMtu = 68;
    private const int CommandPolls = 1_000_000;

    private readonly byte[] _mac = new byte[NetWire.MacLength];
    private readonly bool _mayUsePairs;
    private NetReceiveQueue?[] _receive = new NetReceiveQueue?[0];
    private NetTransmitQueue?[] _transmit = new NetTransmitQueue?[0];
    private NetControlQueue? _control;
    private NetworkCapabilities _capabilities;
    private bool _isLinkUp;
    private bool _isIntroduced;

    /// <summary>A device that is not touched yet.</summary>
    /// <param name="transport">The way to it.</param>
    /// <param name="function">Its function.</param>
    /// <param name="mapper">Maps registers.</param>
    /// <param name="allocator">Gives vectors.</param>
    /// <param name="mayUsePairs">False to use one queue pair whatever the device offers.</param>
    public VirtioNetDevice(
        VirtioTransport transport, PciFunction function, DeviceMapper mapper, InterruptAllocator allocator, bool mayUsePairs)
        : base(transport, function, mapper, allocator)
    {
        _mayUsePairs = mayUsePairs;
        Interface = new VirtioNet(this);
    }

    /// <summary>What is used of the device.</summary>
    public VirtioNet Interface { get; }

    /// <summary>Hardware address.</summary>
    public ReadOnlySpan<byte> MacAddress => _mac;

    /// <summary>What the device can do.</summary>
    public ref readonly NetworkCapabilities Capabilities => ref _capabilities;

    /// <summary>Whether the link is up; down for good once the device has failed.</summary>
    public bool IsLinkUp => Volatile.Read(ref _isLinkUp) && !IsFailed;

    /// <inheritdoc/>
    protected override ReadOnlySpan<byte> Kind => "net"u8;

    /// <summary>Receive queue of a pair.</summary>
    public NetReceiveQueue Receive(int pair) => _receive[pair]!;

    /// <summary>Transmit queue of a pair.</summary>
    public NetTransmitQueue Transmit(int pair) => _transmit[pair]!;

    /// <summary>Whether the device serves a pair: all but the first only after it was told to (5.1.6.5.6.1).</summary>
    public bool MayTransmit(int pair) =>
        pair == 0 || (_control != null && _control.State(NetCommand.SetPairs) == NetCommandState.Accepted);

    /// <summary>Tells the device about packets and buffers of a pair.</summary>
    public void Kick(int pair)
    {
        if (Receive(pair).Publish(out bool mustServeReceive))
        {
            Transport.Notify(Receive(pair).Ring);
        }

        if (Transmit(pair).Publish(out bool mustServeTransmit))
        {
            Transport.Notify(Transmit(pair).Ring);
        }

        if (mustServeReceive || mustServeTransmit)
        {
            ServeLater(pair);
        }
    }

    /// <summary>Checks a packet to send.</summary>
    /// <returns>False when the device must not see it.</returns>
    public bool TryExamine(ReadOnlySpan<DmaSegment> segments, in PacketOffload offload, out NetHeader header)
    {
        header = default;
        ulong length = 0;
        if (segments.Length == 0 || (uint)segments.Length > _capabilities.MaximumSegments)
        {
            return false;
        }

        for (int i = 0; i < segments.Length; i++)
        {
            if (segments[i].Length == 0)
            {
                return false;
            }

            length += segments[i].Length;
        }

        return length is >= NetWire.MinimumFrame and <= NetWire.MaximumFrame
            && NetOffload.TryToDevice(in offload, Features, (uint)length, out header);
    }

    /// <summary>Sets the device up to be used and logs what was found; once, after the start.</summary>
    /// <returns>False when the device does not accept several queue pairs: it is to be started anew with one.</returns>
    public bool Introduce()
    {
        SendCommands();
        if (!AwaitCommands())
        {
            return Abort("does not accept several queue pairs"u8);
        }

        _isIntroduced = true;
        LogLine line = Describe();
        line.Text(", MAC "u8);
        for (int i = 0; i < NetWire.MacLength; i++)
        {
            line.Text(i == 0 ? ""u8 : ":"u8).Text(HexDigit(_mac[i] >> 4)).Text(HexDigit(_mac[i] & 15));
        }

        line.Text(", MTU "u8).Decimal(_capabilities.Mtu).Text(IsLinkUp ? ", link up, "u8 : ", link down, "u8)
            .Decimal((uint)GroupCount).Text(" queue pairs, receive"u8)
            .Text(Has(NetWire.MergeableBuffers) ? " merged"u8 : ""u8).Text(Has(NetWire.GuestChecksum) ? " checksum"u8 : ""u8)
            .Text(Has(NetWire.GuestTso4) ? " tso4"u8 : ""u8).Text(Has(NetWire.GuestTso6) ? " tso6"u8 : ""u8)
            .Text(", send"u8).Text(_capabilities.TransmitChecksum ? " checksum"u8 : ""u8)
            .Text(_capabilities.TransmitTcpIpv4 ? " tso4"u8 : ""u8).Text(_capabilities.TransmitTcpIpv6 ? " tso6"u8 : ""u8).End();
        return true;
    }

    /// <inheritdoc/>
    protected override ulong ChooseFeatures(ulong offered)
    {
        const ulong known = NetWire.Checksum | NetWire.GuestChecksum | NetWire.Mtu | NetWire.Mac | NetWire.GuestTso4
            | NetWire.GuestTso6 | NetWire.GuestEcn | NetWire.HostTso4 | NetWire.HostTso6 | NetWire.HostEcn
            | NetWire.MergeableBuffers | NetWire.Status | NetWire.ControlQueue | NetWire.ControlReceive;
        bool usesPairs = _mayUsePairs && CpuCount > 1;
        return NetWire.WithRequirements(offered & (known | (usesPairs ? NetWire.MultiQueue : 0)));
    }

    /// <inheritdoc/>
    protected override bool CreateQueues()
    {
        int devicePairs = Has(NetWire.MultiQueue)
            ? Math.Max(1, (int)Transport.ReadConfiguration16(NetWire.ConfigMaximumPairs))
            : 1;
        int pairs = Math.Min(Math.Min(devicePairs, CpuCount), (MaximumQueues - 1) / 2);
        _receive = new NetReceiveQueue?[pairs];
        _transmit = new NetTransmitQueue?[pairs];
        GroupCount = pairs;
        for (int i = 0; i < pairs; i++)
        {
            if (!CreatePair(i))
            {
                return false;
            }
        }

        if (Has(NetWire.ControlQueue) && !CreateControl(2 * devicePairs))
        {
            return false;
        }

        CreateAddress();
        ReadCapabilities();
        _isLinkUp = ReadLink();
        return true;
    }

    /// <inheritdoc/>
    protected override void ServiceGroup(int group)
    {
        NetworkClient? client = Interface.Client;
        NetReceiveQueue receive = Receive(group);
        NetTransmitQueue transmit = Transmit(group);
        receive.Ring.SuppressInterrupts();
        transmit.Ring.SuppressInterrupts();
        int receiveBudget = PacketBudget;
        do
        {
            ReceivePackets(group, receive, client, ref receiveBudget);
        }
        while (receiveBudget > 0 && !receive.TryRequestInterrupt());

        int sendBudget = PacketBudget;
        do
        {
            while (sendBudget > 0 && transmit.TryTakeSent(out uint tag))
            {
                sendBudget--;
                client?.Sent(group, tag);
            }
        }
        while (sendBudget > 0 && !transmit.TryRequestInterrupt());

        if (client != null && receiveBudget + sendBudget < 2 * PacketBudget)
        {
            client.InterruptEnd(group);
        }

        if (client != null && MayTransmit(group) && transmit.TakeRoomAvailable())
        {
            client.RoomAvailable(group);
        }

        if (receiveBudget == 0 || sendBudget == 0)
        {
            ServeLater(group);
        }
    }

    /// <inheritdoc/>
    protected override void ServiceConfiguration()
    {
        bool isUp = ReadLink();
        ushort mtu = ReadMtu();
        if (isUp == _isLinkUp && mtu == _capabilities.Mtu)
        {
            return;
        }

        Volatile.Write(ref _isLinkUp, isUp);
        _capabilities.Mtu = mtu;
        LogLine line = Describe();
        line.Text(isUp ? ", link up, MTU "u8 : ", link down, MTU "u8).Decimal(mtu).End();
        Interface.Client?.LinkChanged();
    }

    /// <inheritdoc/>
    protected override void ServiceControlQueue()
    {
        if (_control == null)
        {
            return;
        }

        do
        {
            while (_control.TryTakeAnswer(out NetCommand command))
            {
                TakeAnswer(command);
            }
        }
        while (!_control.TryRequestInterrupt());
    }

    /// <inheritdoc/>
    protected override void GiveUp(Virtqueue queue)
    {
        if (_control != null && queue.Index == _control.Ring.Index)
        {
            _control.GiveUp();
        }
        else if ((queue.Index & 1) == 0)
        {
            Receive(queue.Index / 2).GiveUp();
        }
        else
        {
            Transmit(queue.Index / 2).GiveUp();
        }
    }

    /// <inheritdoc/>
    protected override void Restarted()
    {
        if (IsFailed)
        {
            Interface.Client?.LinkChanged();
            return;
        }

        SendCommands();
        ServiceConfiguration();
        for (int i = 0; i < GroupCount; i++)
        {
            // Buffers may have been refused meanwhile, and no packet would come that reminded of them.
            Interface.Client?.RoomAvailable(i);
        }
    }

    private void ReceivePackets(int group, NetReceiveQueue receive, NetworkClient? client, ref int budget)
    {
        Span<uint> tags = stackalloc uint[NetReceiveQueue.MaximumBuffers];
        while (budget > 0 && receive.TryTake(tags, out ReceivedPacket packet))
        {
            budget--;
            if (packet.Fault != VirtioFault.None)
            {
                Health.Report(packet.Fault, receive.Ring.Index, packet.FaultDetail);
            }

            if (client == null)
            {
                continue;
            }

            if (packet.Length != 0)
            {
                client.Received(group, tags.Slice(0, packet.BufferCount), HeaderSize, packet.Length, in packet.Offload);
                continue;
            }

            for (int i = 0; i < packet.BufferCount; i++)
            {
                client.ReceiveBufferReturned(group, tags[i]);
            }
        }
    }

    private uint HeaderSize =>
        Has(VirtioFeature.Version1 | NetWire.MergeableBuffers) ? NetWire.HeaderSize : NetWire.LegacyHeaderSize;

    private bool CreatePair(int pair)
    {
        Virtqueue? receive = CreateQueue(2 * pair, pair, QueueCapacity, 0);
        Virtqueue? transmit = CreateQueue(2 * pair + 1, pair, QueueCapacity, MaximumBuffers);
        DmaMemory? headers = transmit == null ? null : CreateMemory((uint)transmit.Capacity * NetTransmitQueue.HeaderSlot);
        if (receive == null || transmit == null || headers == null || transmit.MaximumBuffers < 2 || receive.Capacity < 2)
        {
            return false;
        }

        _receive[pair] = new NetReceiveQueue(receive, Features, HeaderSize);
        _transmit[pair] = new NetTransmitQueue(transmit, headers.Address, HeaderSize);
        return true;
    }

    private bool CreateControl(int index)
    {
        Virtqueue? ring = CreateQueue(index, ConfigurationGroup, 8, 0);
        DmaMemory? memory = CreateMemory(NetControlQueue.MemorySize);
        if (ring == null || memory == null || ring.Capacity < 6)
        {
            return false;
        }

        _control = new NetControlQueue(ring, memory.Address);
        return true;
    }

    private void CreateAddress()
    {
        if (Has(NetWire.Mac))
        {
            for (uint i = 0; i < NetWire.MacLength; i++)
            {
                _mac[i] = Transport.ReadConfiguration8(NetWire.ConfigMac + i);
            }

            return;
        }

        // A locally administered unicast address, as random as the time (5.1.5).
        ulong seed = unchecked((Cpu.ReadTsc() | 1) * 0x9e3779b97f4a7c15);
        _mac[0] = 0x02;
        for (int i = 1; i < NetWire.MacLength; i++)
        {
            _mac[i] = (byte)(seed >> (64 - 8 * i));
        }
    }

    private void ReadCapabilities()
    {
        _capabilities.TransmitChecksum = Has(NetWire.Checksum);
        _capabilities.TransmitTcpIpv4 = Has(NetWire.HostTso4);
        _capabilities.TransmitTcpIpv6 = Has(NetWire.HostTso6);
        _capabilities.MaximumSegments = (uint)Math.Min(MaximumBuffers, Transmit(0).Ring.MaximumBuffers) - 1;
        _capabilities.ReceiveBufferSize = NetReceiveQueue.BufferSize;
        _capabilities.Mtu = ReadMtu();
    }

    private ushort ReadMtu()
    {
        const uint vlanTag = 4;
        ushort mtu = Has(NetWire.Mtu) ? Transport.ReadConfiguration16(NetWire.ConfigMtu) : DefaultMtu;
        if (mtu < MinimumMtu)
        {
            return DefaultMtu;
        }

        // Without mergeable buffers a frame has to fit one.
        uint largest = NetReceiveQueue.BufferSize - HeaderSize - NetWire.MinimumFrame - vlanTag;
        return Has(NetWire.MergeableBuffers) ? mtu : (ushort)Math.Min(mtu, largest);
    }

    private bool ReadLink() =>
        !Has(NetWire.Status) || (Transport.ReadConfiguration16(NetWire.ConfigStatus) & NetWire.StatusLinkUp) != 0;

    private void SendCommands()
    {
        if (_control == null)
        {
            return;
        }

        bool mustNotify = Has(NetWire.ControlReceive)
            && _control.Send(NetCommand.Promiscuous, NetWire.ClassReceive, NetWire.CommandPromiscuous, 1, 1);
        if (GroupCount > 1)
        {
            mustNotify |= _control.Send(
                NetCommand.SetPairs, NetWire.ClassMultiQueue, NetWire.CommandSetPairs, (ushort)GroupCount, 2);
        }

        if (mustNotify)
        {
            Transport.Notify(_control.Ring);
        }
    }

    private void TakeAnswer(NetCommand command)
    {
        if (_control!.State(command) == NetCommandState.Refused)
        {
            Refused(_control, command);
            return;
        }

        if (command != NetCommand.SetPairs || !_isIntroduced)
        {
            return;
        }

        for (int i = 1; i < GroupCount; i++)
        {
            // Packets may have been refused until now.
            ServeLater(i);
        }
    }

    private void Refused(NetControlQueue control, NetCommand command)
    {
        if (command != NetCommand.SetPairs || !_isIntroduced)
        {
            Health.Report(VirtioFault.CommandFailed, control.Ring.Index, (uint)command);
            return;
        }

        // It did accept before the reset: without its other pairs it is not the device that the clients were given.
        control.Ring.Lock.Acquire();
        control.Ring.Break(VirtioFault.CommandFailed, (uint)command);
        control.Ring.Lock.Release();
    }

    // At boot nothing else runs: look at the ring until the answers are there, for a bounded time.
    private bool AwaitCommands()
    {
        if (_control == null || GroupCount == 1)
        {
            return true;
        }

        for (int i = 0; i < CommandPolls && _control.State(NetCommand.SetPairs) == NetCommandState.Sent && !IsFailed; i++)
        {
            if (_control.Ring.HasUsed)
            {
                HandleControlQueue();
            }

            Cpu.Pause();
        }

        return _control.State(NetCommand.SetPairs) == NetCommandState.Accepted;
    }

    private static ReadOnlySpan<byte> HexDigit(int value) => "0123456789abcdef"u8.Slice(value & 15, 1);
}
