using System;

namespace Blanket.Kernel.Platform.Acpi;

/// <summary>
/// The package \_S5 of a DSDT or SSDT (ACPI 6.5, 7.4.2): what the sleep type fields are set to for power-off. Found by its bytes,
/// Name (_S5, Package () { ... }), without interpreting AML (20.2): firmware writes it as constants.
/// </summary>
public readonly struct SleepPackage
{
    private const byte NameOp = 0x08, RootChar = (byte)'\\', PackageOp = 0x12;
    private const byte ZeroOp = 0x00, OneOp = 0x01, BytePrefix = 0x0a, WordPrefix = 0x0b, DWordPrefix = 0x0c, OnesOp = 0xff;
    private const int NameLength = 4;
    private const int TypeMask = 7;

    /// <summary>SLP_TYP of PM1a control, 0 to 7.</summary>
    public readonly byte TypeA;

    /// <summary>SLP_TYP of PM1b control, 0 to 7.</summary>
    public readonly byte TypeB;

    private SleepPackage(uint typeA, uint typeB)
    {
        TypeA = (byte)(typeA & TypeMask);
        TypeB = (byte)(typeB & TypeMask);
    }

    /// <summary>Looks for the package.</summary>
    /// <param name="code">A whole table, its header included.</param>
    /// <param name="package">The package's first two elements.</param>
    /// <returns>False when it is not there.</returns>
    public static bool TryFind(ReadOnlySpan<byte> code, out SleepPackage package)
    {
        for (int name = 1; name + NameLength < code.Length; name++)
        {
            if (code[name] == (byte)'_' && code.Slice(name, NameLength).SequenceEqual("_S5_"u8)
                && IsDefinition(code, name) && TryReadPackage(code.Slice(name + NameLength), out package))
            {
                return true;
            }
        }

        package = default;
        return false;
    }

    private static bool IsDefinition(ReadOnlySpan<byte> code, int name) =>
        code[name - 1] == NameOp || (name >= 2 && code[name - 1] == RootChar && code[name - 2] == NameOp);

    private static bool TryReadPackage(ReadOnlySpan<byte> code, out SleepPackage package)
    {
        package = default;
        if (code.Length < 2 || code[0] != PackageOp)
        {
            return false;
        }

        // PkgLength: the top two bits of its first byte tell how many bytes follow; then NumElements.
        int elements = 1 + 1 + (code[1] >> 6);
        if (elements >= code.Length || code[elements] == 0)
        {
            return false;
        }

        int count = code[elements];
        int position = elements + 1;
        if (!TryReadInteger(code, ref position, out uint typeA))
        {
            return false;
        }

        uint typeB = 0;
        if (count > 1 && !TryReadInteger(code, ref position, out typeB))
        {
            return false;
        }

        package = new SleepPackage(typeA, typeB);
        return true;
    }

    private static bool TryReadInteger(ReadOnlySpan<byte> code, ref int position, out uint value)
    {
        value = 0;
        if (position >= code.Length)
        {
            return false;
        }

        byte prefix = code[position++];
        int size = prefix switch
        {
            BytePrefix => 1,
            WordPrefix => 2,
            DWordPrefix => 4,
            _ => 0,
        };
        if (size == 0)
        {
            value = prefix == OnesOp ? uint.MaxValue : prefix;
            return prefix is ZeroOp or OneOp or OnesOp;
        }

        if (size > code.Length - position)
        {
            return false;
        }

        for (int i = 0; i < size; i++)
        {
            value |= (uint)code[position++] << (8 * i);
        }

        return true;
    }
}
