using Blanket.Machine;

namespace Blanket.Drivers.Pci;

/// <summary>Bus, device and function number of a PCI function (segment 0).</summary>
public readonly struct PciAddress
{
    private readonly ushort _value;

    /// <summary>The address of a function.</summary>
    /// <param name="bus">0 to 255.</param>
    /// <param name="device">0 to 31.</param>
    /// <param name="function">0 to 7.</param>
    public PciAddress(int bus, int device, int function)
    {
        Check.That((uint)bus < 256 && (uint)device < 32 && (uint)function < 8);
        _value = (ushort)((bus << 8) | (device << 3) | function);
    }

    /// <summary>Bus number.</summary>
    public int Bus => _value >> 8;

    /// <summary>Device number on the bus.</summary>
    public int Device => (_value >> 3) & 31;

    /// <summary>Function number in the device.</summary>
    public int Function => _value & 7;

    /// <summary>The 16-bit requester id: bus 15:8, device 7:3, function 2:0.</summary>
    public ushort Value => _value;

    /// <summary>Appends "bb:dd.f" to a log line.</summary>
    public void AppendTo(ref LogLine line)
    {
        AppendHexByte(ref line, Bus);
        line.Text(":"u8);
        AppendHexByte(ref line, Device);
        line.Text("."u8).Decimal((uint)Function);
    }

    private static void AppendHexByte(ref LogLine line, int value)
    {
        System.ReadOnlySpan<byte> digits = "0123456789abcdef"u8;
        line.Text(digits.Slice((value >> 4) & 15, 1)).Text(digits.Slice(value & 15, 1));
    }
}
