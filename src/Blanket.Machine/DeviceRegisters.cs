using System.Runtime.CompilerServices;

namespace Blanket.Machine;

/// <summary>
/// A typed window on a device's registers: memory-mapped (uncached) or ports. Every offset is checked against the window.
/// Registers are little-endian. Host tests replace the hardware by deriving from <see cref="SimulatedRegisters"/>.
/// </summary>
public readonly unsafe struct DeviceRegisters
{
    private readonly byte* _base;
    private readonly ulong _length;
    private readonly ushort _port;
    private readonly bool _isPorts;
#if !METAL
    private readonly SimulatedRegisters? _simulated;

    /// <summary>A window on a fake device.</summary>
    public DeviceRegisters(SimulatedRegisters simulated, ulong length)
    {
        this = default;
        _simulated = simulated;
        _length = length;
    }
#endif

    /// <summary>A window on memory-mapped registers that are mapped at a linear address.</summary>
    public DeviceRegisters(nuint linearAddress, ulong length)
    {
        this = default;
        _base = (byte*)linearAddress;
        _length = length;
    }

    private DeviceRegisters(ushort port, ulong length, bool isPorts)
    {
        this = default;
        _port = port;
        _length = length;
        _isPorts = isPorts;
    }

    /// <summary>A window on I/O ports.</summary>
    public static DeviceRegisters OfPorts(ushort first, ushort count) => new(first, count, true);

    /// <summary>Bytes that the window covers; 0 for none.</summary>
    public ulong Length => _length;

    /// <summary>A part of the window.</summary>
    public DeviceRegisters Slice(ulong offset, ulong length)
    {
        Check.That(offset <= _length && length <= _length - offset);
#if !METAL
        if (_simulated != null)
        {
            return new DeviceRegisters(new SimulatedRegisterSlice(_simulated, offset), length);
        }
#endif
        return _isPorts
            ? new DeviceRegisters((ushort)(_port + offset), length, true)
            : new DeviceRegisters((nuint)_base + (nuint)offset, length);
    }

    private void CheckBounds(ulong offset, ulong size) => Check.That(offset <= _length && size <= _length - offset);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public byte Read8(ulong offset)
    {
        CheckBounds(offset, 1);
#if !METAL
        if (_simulated != null)
        {
            return (byte)_simulated.Read(offset, 1);
        }
#endif
        return _isPorts ? Cpu.PortRead8((ushort)(_port + offset)) : *(_base + offset);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public ushort Read16(ulong offset)
    {
        CheckBounds(offset, 2);
#if !METAL
        if (_simulated != null)
        {
            return (ushort)_simulated.Read(offset, 2);
        }
#endif
        return _isPorts ? Cpu.PortRead16((ushort)(_port + offset)) : *(ushort*)(_base + offset);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public uint Read32(ulong offset)
    {
        CheckBounds(offset, 4);
#if !METAL
        if (_simulated != null)
        {
            return (uint)_simulated.Read(offset, 4);
        }
#endif
        return _isPorts ? Cpu.PortRead32((ushort)(_port + offset)) : *(uint*)(_base + offset);
    }

    /// <summary>64 bits, as two 32-bit reads (low first): devices need not support wider ones.</summary>
    public ulong Read64(ulong offset) => Read32(offset) | ((ulong)Read32(offset + 4) << 32);

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Write8(ulong offset, byte value)
    {
        CheckBounds(offset, 1);
#if !METAL
        if (_simulated != null)
        {
            _simulated.Write(offset, 1, value);
            return;
        }
#endif
        if (_isPorts)
        {
            Cpu.PortWrite8((ushort)(_port + offset), value);
        }
        else
        {
            *(_base + offset) = value;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Write16(ulong offset, ushort value)
    {
        CheckBounds(offset, 2);
#if !METAL
        if (_simulated != null)
        {
            _simulated.Write(offset, 2, value);
            return;
        }
#endif
        if (_isPorts)
        {
            Cpu.PortWrite16((ushort)(_port + offset), value);
        }
        else
        {
            *(ushort*)(_base + offset) = value;
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Write32(ulong offset, uint value)
    {
        CheckBounds(offset, 4);
#if !METAL
        if (_simulated != null)
        {
            _simulated.Write(offset, 4, value);
            return;
        }
#endif
        if (_isPorts)
        {
            Cpu.PortWrite32((ushort)(_port + offset), value);
        }
        else
        {
            *(uint*)(_base + offset) = value;
        }
    }

    /// <summary>64 bits, as two 32-bit writes (low first).</summary>
    public void Write64(ulong offset, ulong value)
    {
        Write32(offset, (uint)value);
        Write32(offset + 4, (uint)(value >> 32));
    }
}
