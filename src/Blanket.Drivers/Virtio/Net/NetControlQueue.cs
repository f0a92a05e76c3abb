using Blanket.Machine;

namespace Blanket.Drivers.Virtio.Net;

/// <summary>How far a command is.</summary>
internal enum NetCommandState : byte
{
    NotSent,
    Sent,
    Accepted,
    Refused,
}

/// <summary>The commands that are used.</summary>
internal enum NetCommand : byte
{
    /// <summary>Receive packets for every address: the guests behind a bridge have their own.</summary>
    Promiscuous,

    /// <summary>Use so many queue pairs.</summary>
    SetPairs,
}

/// <summary>The control queue (virtio 1.2, 5.1.6.5): each command is sent once after a start, and its answer is kept.</summary>
internal sealed class NetControlQueue(Virtqueue ring, ulong memory)
{
    private const int CommandCount = 2;
    private const uint SlotSize = 16;
    private const uint DataOffset = 2;
    private const uint AckOffset = 8;
    private const byte AckUnwritten = 0xff;
    private readonly NetCommandState[] _states = new NetCommandState[CommandCount];

    // Which command a request id is.
    private readonly NetCommand[] _commands = new NetCommand[ring.Capacity];

    /// <summary>Bytes of memory that it needs.</summary>
    public const uint MemorySize = CommandCount * SlotSize;

    public Virtqueue Ring => ring;

    /// <summary>How far a command is.</summary>
    public NetCommandState State(NetCommand command) => _states[(int)command];

    /// <summary>Sends a command; tells whether the queue is to be notified.</summary>
    public bool Send(NetCommand command, byte commandClass, byte code, ushort data, uint dataSize)
    {
        bool mustNotify = false;
        ring.Lock.Acquire();
        if (ring.TryBegin(3, out DescriptorChain chain))
        {
            ulong slot = memory + (uint)command * SlotSize;
            PhysicalMemory.Write(slot, commandClass);
            PhysicalMemory.Write(slot + 1, code);
            PhysicalMemory.Write(slot + DataOffset, data);
            PhysicalMemory.Write(slot + AckOffset, AckUnwritten);
            ring.Append(ref chain, slot, DataOffset, false);
            ring.Append(ref chain, slot + DataOffset, dataSize, false);
            ring.Append(ref chain, slot + AckOffset, 1, true);
            _commands[chain.Head] = command;
            _states[(int)command] = NetCommandState.Sent;
            ring.Add(ref chain);
            mustNotify = ring.Publish();
        }

        ring.Lock.Release();
        return mustNotify;
    }

    /// <summary>Takes an answer.</summary>
    public bool TryTakeAnswer(out NetCommand command)
    {
        command = default;
        ring.Lock.Acquire();
        bool found = ring.TryTakeUsed(out ushort id, out _);
        if (found)
        {
            command = _commands[id];
            byte ack = PhysicalMemory.Read<byte>(memory + (uint)command * SlotSize + AckOffset);
            _states[(int)command] = ack == NetWire.AckOk ? NetCommandState.Accepted : NetCommandState.Refused;
        }

        ring.Lock.Release();
        return found;
    }

    /// <summary>Asks for an interrupt at the next answer; false when there is one already.</summary>
    public bool TryRequestInterrupt()
    {
        ring.Lock.Acquire();
        bool isIdle = ring.TryRequestInterrupt();
        ring.Lock.Release();
        return isIdle;
    }

    /// <summary>The device was reset: nothing has been said to it. The lock is held.</summary>
    public void GiveUp()
    {
        for (int i = 0; i < CommandCount; i++)
        {
            _states[i] = NetCommandState.NotSent;
        }
    }
}
