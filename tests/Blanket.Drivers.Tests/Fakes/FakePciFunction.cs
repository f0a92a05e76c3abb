using System;
using System.Buffers.Binary;
using Blanket.Drivers.Pci;
using Blanket.Machine;

namespace Blanket.Drivers.Tests.Fakes;

/// <summary>Configuration space of one function as hardware behaves: BARs that size themselves, a command register, capabilities.</summary>
public class FakePciFunction(PciAddress address)
{
    private readonly byte[] _space = new byte[256];
    private readonly uint[] _barMasks = new uint[6];
    private int _nextCapability = 0x40;
    private int _lastCapability;

    public PciAddress Address { get; } = address;

    /// <summary>What each BAR leads to.</summary>
    public SimulatedRegisters?[] BarRegisters { get; } = new SimulatedRegisters?[6];

    public ushort Command => Get16(PciRegister.Command);

    /// <summary>Configuration writes that hit a BAR while decoding was on: a bug on real machines.</summary>
    public int BarWritesWhileDecoding { get; private set; }

    public void Set8(int offset, byte value) => _space[offset] = value;

    public void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_space.AsSpan(offset), value);

    public void Set32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_space.AsSpan(offset), value);

    public ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_space.AsSpan(offset));

    public uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_space.AsSpan(offset));

    public void Identify(ushort vendor, ushort device, ushort subsystem, byte revision)
    {
        Set16(PciRegister.VendorId, vendor);
        Set16(PciRegister.DeviceId, device);
        Set16(PciRegister.SubsystemId, subsystem);
        Set8(PciRegister.RevisionId, revision);
    }

    public void MakeBridge(byte secondary, byte subordinate)
    {
        Set8(PciRegister.HeaderType, 1);
        Set8(PciRegister.SecondaryBus, secondary);
        Set8(PciRegister.SubordinateBus, subordinate);
    }

    public void AddMemoryBar(int index, uint size, ulong physical, bool is64, SimulatedRegisters? registers = null)
    {
        uint type = is64 ? 4u : 0;
        _barMasks[index] = ~(size - 1) & ~15u;
        Set32(PciBar.Offset(index), (uint)physical | type);
        BarRegisters[index] = registers;
        if (is64)
        {
            _barMasks[index + 1] = uint.MaxValue;
            Set32(PciBar.Offset(index + 1), (uint)(physical >> 32));
        }
    }

    public void AddIoBar(int index, uint size, ushort port)
    {
        _barMasks[index] = ~(size - 1) & 0xfffc;
        Set32(PciBar.Offset(index), port | 1u);
    }

    /// <summary>Appends a capability; returns its offset.</summary>
    public int AddCapability(byte id, ReadOnlySpan<byte> body)
    {
        int offset = _nextCapability;
        _nextCapability += (2 + body.Length + 3) & ~3;
        _space[offset] = id;
        body.CopyTo(_space.AsSpan(offset + 2));
        if (_lastCapability == 0)
        {
            _space[PciRegister.CapabilitiesPointer] = (byte)offset;
            Set16(PciRegister.Status, 1 << 4);
        }
        else
        {
            _space[_lastCapability + 1] = (byte)offset;
        }

        _lastCapability = offset;
        return offset;
    }

    /// <summary>Where a BAR is now; 0 for unassigned.</summary>
    public ulong BarAddress(int index)
    {
        uint low = Get32(PciBar.Offset(index));
        if ((low & 1) != 0)
        {
            return low & ~3u;
        }

        ulong high = (low & 6) == 4 ? Get32(PciBar.Offset(index + 1)) : 0;
        return (high << 32) | (low & ~15u);
    }

    public uint BarSize(int index) => _barMasks[index] == 0 ? 0 : (uint)(1UL << System.Numerics.BitOperations.TrailingZeroCount(_barMasks[index]));

    public virtual uint Read(int offset, int size) => size switch
    {
        1 => _space[offset],
        2 => Get16(offset),
        _ => Get32(offset),
    };

    public virtual void Write(int offset, int size, uint value)
    {
        bool isBridge = (_space[PciRegister.HeaderType] & 0x7f) == 1;
        if (offset >= PciRegister.FirstBar && offset < PciRegister.FirstBar + 24 && !isBridge)
        {
            WriteBar((offset - PciRegister.FirstBar) / 4, value);
            return;
        }

        switch (size)
        {
            case 1:
                Set8(offset, (byte)value);
                break;
            case 2:
                Set16(offset, (ushort)value);
                break;
            default:
                Set32(offset, value);
                break;
        }
    }

    private void WriteBar(int index, uint value)
    {
        if ((Command & (PciCommand.IoSpace | PciCommand.MemorySpace)) != 0)
        {
            BarWritesWhileDecoding++;
        }

        uint current = Get32(PciBar.Offset(index));
        bool isHighHalf = index > 0 && (Get32(PciBar.Offset(index - 1)) & 7) == 4;
        uint attributes = isHighHalf ? 0 : (current & 1) != 0 ? current & 3 : current & 15;
        Set32(PciBar.Offset(index), (value & _barMasks[index]) | attributes);
    }
}
