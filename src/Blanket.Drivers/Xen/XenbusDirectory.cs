using System;
using Blanket.Abi;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>Lists the devices of a kind that L0's toolstack gave to L1; at boot, where the store is polled.</summary>
internal sealed class XenbusDirectory(XenbusStore store) : StoreReply
{
    /// <summary>The most devices of a kind.</summary>
    internal const int MaximumDevices = 64;

    private const ulong PollNanoseconds = 5_000_000_000;

    private readonly uint[] _ids = new uint[MaximumDevices];
    private int _count;
    private bool _isDone;

    /// <summary>Device numbers that were found, in ascending order.</summary>
    internal ReadOnlySpan<uint> Ids => new(_ids, 0, _count);

    /// <summary>Asks for the devices of a kind and polls for the answer.</summary>
    internal void Poll(ReadOnlySpan<byte> kind)
    {
        _count = 0;
        _isDone = false;
        PathBuilder path = new(stackalloc byte[32]);
        path.Append("device"u8);
        path.AppendName(kind);
        ulong end = SystemTime.Now + PollNanoseconds;
        if (!store.TryList(0, path.Text, this))
        {
            return;
        }

        while (!_isDone && SystemTime.Now < end)
        {
            store.Process();
            Cpu.Pause();
        }

        if (!_isDone)
        {
            Log.Line("xen: L0's xenstore does not answer"u8).End();
        }
    }

    /// <inheritdoc/>
    public override void Completed(XenStoreError error, ReadOnlySpan<byte> value)
    {
        _isDone = true;
        while (error == XenStoreError.None && !value.IsEmpty)
        {
            int end = value.IndexOf((byte)0);
            ReadOnlySpan<byte> name = end < 0 ? value : value.Slice(0, end);
            value = end < 0 ? default : value.Slice(end + 1);
            if (DecimalNumber.TryParse(name, uint.MaxValue, out ulong id) && _count < MaximumDevices)
            {
                Insert((uint)id);
            }
        }
    }

    private void Insert(uint id)
    {
        int place = _count++;
        while (place > 0 && _ids[place - 1] > id)
        {
            _ids[place] = _ids[place - 1];
            place--;
        }

        _ids[place] = id;
    }
}
