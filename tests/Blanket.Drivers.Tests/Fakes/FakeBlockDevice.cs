using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A virtio disk with its contents in memory (virtio 1.2, 5.2).</summary>
public sealed class FakeBlockDevice : FakeVirtioDevice
{
    public const ulong SizeMaximum = 1 << 1;
    public const ulong SegmentMaximum = 1 << 2;
    public const ulong ReadOnly = 1 << 5;
    public const ulong BlockSize = 1 << 6;
    public const ulong Flush = 1 << 9;
    public const ulong Topology = 1 << 10;
    public const ulong MultiQueue = 1 << 12;
    public const ulong Discard = 1 << 13;
    public const ulong WriteZeroes = 1 << 14;

    public FakeBlockDevice(FakeMachine machine, FakeVirtioOptions options, int sectors = 2048, int queues = 1)
        : base(machine, options, 2, queues, 60)
    {
        Contents = new byte[sectors * 512];
        SetConfiguration64(0, (ulong)sectors);
        SetConfiguration32(8, 65536);
        SetConfiguration32(12, 126);
        SetConfiguration32(20, 512);
        SetConfiguration16(34, (ushort)queues);
        SetConfiguration32(36, 1024);
        SetConfiguration32(40, 1);
        SetConfiguration32(44, 8);
        SetConfiguration32(48, 512);
        SetConfiguration32(52, 1);
        Configuration[56] = 1;
    }

    public byte[] Contents { get; }

    public string Id { get; set; } = "disk-0";

    public int Flushes { get; private set; }

    public List<(ulong Sector, uint Count, uint Flags)> Discards { get; } = [];

    /// <summary>Status byte given instead of the right one.</summary>
    public byte? ForcedStatus { get; set; }

    /// <summary>The status byte is not written at all.</summary>
    public bool ForgetsStatus { get; set; }

    /// <summary>Length given instead of the right one.</summary>
    public uint? ForcedLength { get; set; }

    public bool RefusesId { get; set; }

    public override void Process(int queue)
    {
        while (Queues[queue].TryPop(out FakeChain? chain))
        {
            Finish(queue, chain!);
        }
    }

    /// <summary>Does a request and gives it back.</summary>
    public void Finish(int queue, FakeChain chain)
    {
        uint length = Execute(chain);
        Complete(queue, chain, ForcedLength ?? length);
    }

    private uint Execute(FakeChain chain)
    {
        byte[] read = chain.ReadAll();
        uint type = BinaryPrimitives.ReadUInt32LittleEndian(read);
        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(read.AsSpan(8));
        Assert.Equal(16u, chain.Buffers[0].Length);
        FakeBuffer statusBuffer = chain.Buffers[^1];
        Assert.True(statusBuffer.IsWritable && statusBuffer.Length == 1);
        uint written = 0;
        byte status = 0;
        switch (type)
        {
            case 0:
                uint wanted = 0;
                foreach (FakeBuffer buffer in chain.Buffers)
                {
                    wanted += buffer.IsWritable ? buffer.Length : 0;
                }

                written = chain.Write(Contents.AsSpan((int)sector * 512, (int)wanted - 1));
                break;
            case 1:
                Assert.Equal(0ul, DriverFeatures & ReadOnly);
                read.AsSpan(16).CopyTo(Contents.AsSpan((int)sector * 512));
                break;
            case 4:
                Assert.NotEqual(0ul, DriverFeatures & Flush);
                Flushes++;
                break;
            case 8:
                byte[] id = new byte[20];
                Encoding.ASCII.GetBytes(Id).CopyTo(id, 0);
                status = RefusesId ? (byte)2 : (byte)0;
                written = RefusesId ? 0 : chain.Write(id);
                break;
            case 11:
            case 13:
                Assert.NotEqual(0ul, DriverFeatures & (type == 11 ? Discard : WriteZeroes));
                Assert.Equal(32, read.Length);
                ulong first = BinaryPrimitives.ReadUInt64LittleEndian(read.AsSpan(16));
                uint count = BinaryPrimitives.ReadUInt32LittleEndian(read.AsSpan(24));
                Discards.Add((first, count, BinaryPrimitives.ReadUInt32LittleEndian(read.AsSpan(28))));
                Contents.AsSpan((int)first * 512, (int)count * 512).Clear();
                break;
            default:
                status = 2;
                break;
        }

        if (!ForgetsStatus)
        {
            Blanket.Machine.PhysicalMemory.Write(statusBuffer.Address, ForcedStatus ?? status);
        }

        return written + 1;
    }
}

/// <summary>A backend that remembers what it was told.</summary>
public sealed class RecordingBlockClient : BlockClient
{
    public List<(uint Tag, BlockStatus Status)> Ended { get; } = [];

    public int Ends { get; private set; }

    public int Rooms { get; private set; }

    public int Changes { get; private set; }

    /// <summary>Called inside of RoomAvailable.</summary>
    public Action<int>? OnRoom { get; set; }

    /// <summary>Called inside of Completed.</summary>
    public Action? OnCompleted { get; set; }

    public override void Completed(uint tag, BlockStatus status)
    {
        Ended.Add((tag, status));
        OnCompleted?.Invoke();
    }

    public override void CompletionsEnd(int queue) => Ends++;

    public override void RoomAvailable(int queue)
    {
        Rooms++;
        OnRoom?.Invoke(queue);
    }

    public override void GeometryChanged() => Changes++;
}
