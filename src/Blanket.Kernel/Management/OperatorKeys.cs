using System;
using Blanket.Drivers;
using Blanket.Kernel.Guests;
using Blanket.Machine;

namespace Blanket.Kernel.Management;

/// <summary>Keys that an operator types on Blanket's own console: each shows something in the log (<see cref="DebugKeys"/>).</summary>
internal sealed class OperatorKeys : ConsoleClient
{
    private readonly byte[] _waiting = new byte[Abi.Management.MaximumKeys];
    private int _count;
    private SpinLock _lock = new(LockClass.Backend);

    internal OperatorKeys(ConsolePort port) => port.Client = this;

    /// <inheritdoc/>
    public override void Received(ReadOnlySpan<byte> bytes)
    {
        _lock.Acquire();
        foreach (byte key in bytes)
        {
            if (_count < _waiting.Length)
            {
                _waiting[_count++] = key;
            }
        }

        _lock.Release();
        GuestManager.Wake();
    }

    /// <inheritdoc/>
    public override void RoomAvailable()
    {
    }

    /// <summary>Shows what was asked for.</summary>
    internal void Process()
    {
        Span<byte> keys = stackalloc byte[Abi.Management.MaximumKeys];
        _lock.Acquire();
        int count = _count;
        _count = 0;
        new ReadOnlySpan<byte>(_waiting, 0, count).CopyTo(keys);
        _lock.Release();
        foreach (byte key in keys.Slice(0, count))
        {
            DebugKeys.Show(DebugKeys.IsKnown(key) ? key : DebugKeys.Help);
        }
    }
}
