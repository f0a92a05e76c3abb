using System;
using System.Collections.Generic;
using System.Text;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>A virtio console (virtio 1.2, 5.3) that behaves as QEMU's: announces ports, names them, drops messages without buffers.</summary>
public sealed class FakeConsoleDevice : FakeVirtioDevice
{
    public const ulong MultiPort = 1 << 1;

    public FakeConsoleDevice(FakeMachine machine, FakeVirtioOptions options, int ports)
        : base(machine, options, 3, ports == 0 ? 2 : 2 + 2 * ports, 12)
    {
        SetConfiguration32(4, (uint)Math.Max(1, ports));
        Output = new StringBuilder[Math.Max(1, ports)];
        for (int i = 0; i < Output.Length; i++)
        {
            Output[i] = new StringBuilder();
        }
    }

    public StringBuilder[] Output { get; }

    /// <summary>Ports that L0 configured: id and name.</summary>
    public List<(uint Id, string Name)> Ports { get; } = [];

    public HashSet<uint> Ready { get; } = [];

    public HashSet<uint> Open { get; } = [];

    public int Dropped { get; private set; }

    public override void Process(int queue)
    {
        if ((DriverFeatures & MultiPort) != 0 && queue == 3)
        {
            ProcessControl();
        }
        else if ((queue & 1) != 0)
        {
            while (Queues[queue].TryPop(out FakeChain? chain))
            {
                Output[queue < 2 ? 0 : queue / 2 - 1].Append(Encoding.ASCII.GetString(chain!.ReadAll()));
                Complete(queue, chain, 0);
            }
        }
    }

    public bool Type(int port, string text)
    {
        int queue = port == 0 ? 0 : 2 + 2 * port;
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        int done = 0;
        while (done < bytes.Length)
        {
            if (!Queues[queue].TryPop(out FakeChain? chain))
            {
                return false;
            }

            uint written = chain!.Write(bytes.AsSpan(done));
            done += (int)written;
            Complete(queue, chain, written);
        }

        return true;
    }

    public void Plug(uint id, string name)
    {
        Ports.Add((id, name));
        SendControl(id, 1, 1, "");
    }

    public void Unplug(uint id)
    {
        Ports.RemoveAll(p => p.Id == id);
        Ready.Remove(id);
        Open.Remove(id);
        SendControl(id, 2, 1, "");
    }

    public void SendControl(uint id, ushort message, ushort value, string text)
    {
        if (!Queues[2].TryPop(out FakeChain? chain))
        {
            Dropped++;
            return;
        }

        byte[] bytes = [.. BitConverter.GetBytes(id), .. BitConverter.GetBytes(message), .. BitConverter.GetBytes(value), .. Encoding.ASCII.GetBytes(text)];
        Complete(2, chain!, chain!.Write(bytes));
    }

    protected override void WasReset()
    {
        Ready.Clear();
        Open.Clear();
    }

    private void ProcessControl()
    {
        while (Queues[3].TryPop(out FakeChain? chain))
        {
            byte[] bytes = chain!.ReadAll();
            uint id = BitConverter.ToUInt32(bytes);
            ushort value = BitConverter.ToUInt16(bytes, 6);
            Assert.Equal(8, bytes.Length);
            switch (BitConverter.ToUInt16(bytes, 4))
            {
                case 0:
                    foreach ((uint port, _) in Ports.ToArray())
                    {
                        SendControl(port, 1, 1, "");
                    }

                    break;
                case 3:
                    Assert.Equal(1, value);
                    Assert.True(Ready.Add(id));
                    SendControl(id, 4, 1, "");
                    string name = Ports.Find(p => p.Id == id).Name;
                    if (name.Length != 0)
                    {
                        SendControl(id, 7, 1, name + "\0");
                    }

                    SendControl(id, 6, 1, "");
                    break;
                case 6:
                    Assert.Contains(id, Ready);
                    Open.Add(id);
                    break;
                default:
                    Assert.Fail("an unknown control message");
                    break;
            }

            Complete(3, chain, 0);
        }
    }
}

/// <summary>A reader that keeps what it read.</summary>
public sealed class RecordingConsoleClient : ConsoleClient
{
    public StringBuilder Text { get; } = new();

    public int Rooms { get; private set; }

    /// <summary>It takes no more.</summary>
    public bool IsFull { get; set; }

    /// <summary>Each piece that it takes fills it.</summary>
    public bool FillsUp { get; set; }

    public override bool TakesInput => !IsFull;

    public override void Received(ReadOnlySpan<byte> bytes)
    {
        Assert.False(IsFull);
        Assert.InRange(bytes.Length, 1, ConsolePort.InputPiece);
        Text.Append(Encoding.ASCII.GetString(bytes));
        IsFull = FillsUp;
    }

    public override void RoomAvailable() => Rooms++;
}

/// <summary>A virtio entropy device that counts up.</summary>
public sealed class FakeEntropyDevice(FakeMachine machine, FakeVirtioOptions options) : FakeVirtioDevice(machine, options, 4, 1, 0)
{
    private byte _next = 1;

    /// <summary>Bytes of each answer.</summary>
    public int Portion { get; set; } = 64;

    public uint? ForcedLength { get; set; }

    public override void Process(int queue)
    {
        while (Queues[queue].TryPop(out FakeChain? chain))
        {
            byte[] bytes = new byte[Portion];
            for (int i = 0; i < bytes.Length; i++)
            {
                bytes[i] = _next++;
            }

            Complete(queue, chain!, ForcedLength ?? chain!.Write(bytes));
        }
    }
}
