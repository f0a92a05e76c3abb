using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A virtio network device (virtio 1.2, 5.1): keeps what is sent, receives what the test injects.</summary>
public sealed class FakeNetDevice : FakeVirtioDevice
{
    public const ulong Checksum = 1 << 0;
    public const ulong GuestChecksum = 1 << 1;
    public const ulong Mtu = 1 << 3;
    public const ulong Mac = 1 << 5;
    public const ulong GuestTso4 = 1 << 7;
    public const ulong GuestTso6 = 1 << 8;
    public const ulong GuestEcn = 1 << 9;
    public const ulong HostTso4 = 1 << 11;
    public const ulong HostTso6 = 1 << 12;
    public const ulong HostEcn = 1 << 13;
    public const ulong Mergeable = 1 << 15;
    public const ulong LinkStatus = 1 << 16;
    public const ulong Control = 1 << 17;
    public const ulong ControlReceive = 1 << 18;
    public const ulong MultiQueue = 1 << 22;

    public const ulong Everything = Checksum | GuestChecksum | Mtu | Mac | GuestTso4 | GuestTso6 | GuestEcn | HostTso4
        | HostTso6 | HostEcn | Mergeable | LinkStatus | Control | ControlReceive | MultiQueue;

    public FakeNetDevice(FakeMachine machine, FakeVirtioOptions options, int pairs = 1)
        : base(machine, options, 1, 2 * pairs + 1, 12)
    {
        new byte[] { 0x52, 0x54, 0, 1, 2, 3 }.CopyTo(Configuration, 0);
        SetConfiguration16(6, 1);
        SetConfiguration16(8, (ushort)pairs);
        SetConfiguration16(10, 1500);
        MaximumPairs = pairs;
    }

    public int MaximumPairs { get; }

    public int Pairs { get; private set; } = 1;

    public bool IsPromiscuous { get; private set; }

    /// <summary>Answer to control commands.</summary>
    public byte Ack { get; set; }

    public bool IsControlSilent { get; set; }

    public List<(int Pair, byte[] Header, byte[] Packet)> Sent { get; } = [];

    public int HeaderSize => (DriverFeatures & (FakeVirtioOptions.Version1 | Mergeable)) != 0 ? 12 : 10;

    private int ControlIndex => (DriverFeatures & MultiQueue) != 0 ? 2 * MaximumPairs : 2;

    public override void Process(int queue)
    {
        if (queue == ControlIndex && (DriverFeatures & Control) != 0)
        {
            if (!IsControlSilent)
            {
                ProcessControl(queue);
            }

            return;
        }

        if ((queue & 1) != 0)
        {
            ProcessTransmit(queue);
        }
    }

    public void ProcessTransmit(int queue)
    {
        Assert.True(queue / 2 < Pairs, "a packet on a pair that is off");
        while (Queues[queue].TryPop(out FakeChain? chain))
        {
            byte[] bytes = chain!.ReadAll();
            Assert.Equal((uint)HeaderSize, chain.Buffers[0].Length);
            Sent.Add((queue / 2, bytes[..HeaderSize], bytes[HeaderSize..]));
            Complete(queue, chain, 0);
        }
    }

    /// <summary>Receives a packet into as many buffers as it takes; false when there are too few.</summary>
    public bool Inject(int pair, ReadOnlySpan<byte> packet, byte flags = 0, byte gsoType = 0, ushort gsoSize = 0, ushort start = 0, ushort offset = 0)
    {
        FakeVirtioQueue queue = Queues[2 * pair];
        byte[] bytes = new byte[HeaderSize + packet.Length];
        bytes[0] = flags;
        bytes[1] = gsoType;
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(4), gsoSize);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(6), start);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(8), offset);
        packet.CopyTo(bytes.AsSpan(HeaderSize));

        List<(FakeChain Chain, uint Length)> parts = [];
        int done = 0;
        while (done < bytes.Length && queue.TryPop(out FakeChain? chain))
        {
            uint written = chain!.Write(bytes.AsSpan(done));
            done += (int)written;
            parts.Add((chain, written));
        }

        if (done < bytes.Length)
        {
            return false;
        }

        if (HeaderSize == 12)
        {
            PhysicalMemory.Write(parts[0].Chain.Buffers[0].Address + 10, (ushort)parts.Count);
        }

        for (int i = 0; i < parts.Count; i++)
        {
            queue.Taken.Remove(parts[i].Chain.Head);
            queue.PushElement(parts[i].Chain.Head, parts[i].Length, i);
        }

        if (queue.Expose((ushort)parts.Count))
        {
            InterruptQueue(2 * pair);
        }

        return true;
    }

    protected override void WasReset()
    {
        Pairs = 1;
        IsPromiscuous = false;
    }

    private void ProcessControl(int queue)
    {
        while (Queues[queue].TryPop(out FakeChain? chain))
        {
            byte[] command = chain!.ReadAll();
            if (Ack == 0 && command[0] == 0 && command[1] == 0)
            {
                Assert.Equal(3, command.Length);
                IsPromiscuous = command[2] != 0;
            }
            else if (Ack == 0 && command[0] == 4 && command[1] == 0)
            {
                Assert.Equal(4, command.Length);
                Pairs = BinaryPrimitives.ReadUInt16LittleEndian(command.AsSpan(2));
                Assert.InRange(Pairs, 1, MaximumPairs);
            }

            chain.Write([Ack]);
            Complete(queue, chain, 1);
        }
    }
}

/// <summary>A user of a network that keeps its receive queues filled and remembers what it was told.</summary>
public sealed class RecordingNetworkClient(NetworkDevice device) : NetworkClient
{
    private readonly Dictionary<uint, ulong> _buffers = [];
    private uint _nextTag = 1;

    public List<(int Queue, byte[] Packet, PacketOffload Offload)> Packets { get; } = [];

    public List<uint> SentTags { get; } = [];

    public int Returned { get; private set; }

    public int LinkChanges { get; private set; }

    public int Rooms { get; private set; }

    public int Ends { get; private set; }

    /// <summary>Give every buffer back to the device when it comes back.</summary>
    public bool Refills { get; set; } = true;

    /// <summary>Buffers that are the device's.</summary>
    public int Outstanding => _buffers.Count;

    public void Fill(int queue, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Supply(queue, FakeMachine.NewPage());
        }

        device.Kick(queue);
    }

    public override void Received(int queue, ReadOnlySpan<uint> buffers, uint firstOffset, uint length, in PacketOffload offload)
    {
        byte[] packet = new byte[length];
        int done = 0;
        uint offset = firstOffset;
        foreach (uint tag in buffers)
        {
            int part = (int)Math.Min(length - (uint)done, device.Capabilities.ReceiveBufferSize - offset);
            Assert.True(part > 0);
            PhysicalMemory.Bytes(_buffers[tag] + offset, part).CopyTo(packet.AsSpan(done));
            done += part;
            offset = 0;
            TakeBack(queue, tag);
        }

        Assert.Equal((int)length, done);
        Packets.Add((queue, packet, offload));
    }

    public override void ReceiveBufferReturned(int queue, uint tag)
    {
        Returned++;
        TakeBack(queue, tag);
    }

    public override void Sent(int queue, uint tag) => SentTags.Add(tag);

    public override void InterruptEnd(int queue)
    {
        Ends++;
        device.Kick(queue);
    }

    public override void RoomAvailable(int queue) => Rooms++;

    public override void LinkChanged() => LinkChanges++;

    private void TakeBack(int queue, uint tag)
    {
        Assert.True(_buffers.Remove(tag, out ulong address), "a buffer came back twice");
        if (Refills)
        {
            Supply(queue, address);
        }
    }

    private void Supply(int queue, ulong address)
    {
        uint tag = _nextTag++;
        if (device.TrySupplyReceiveBuffer(queue, address, tag))
        {
            _buffers[tag] = address;
        }
    }
}
