using System;
using System.Runtime.InteropServices;
using Blanket.Abi;

namespace Blanket.Core.Building;

/// <summary>
/// The symbol table that a kernel with BSD_SYMTAB finds behind itself, 8-byte aligned: a 32-bit size, an ELF header, three section
/// headers (undefined, symbols, strings), the symbols, the strings. Offsets count from the ELF header; the size is that of everything
/// from the ELF header on.
/// </summary>
internal static class SymbolTable
{
    private const int SizeField = 4;
    private const int HeaderSize = 64;
    private const int SectionSize = 64;
    private const int SectionCount = 3;

    // Everything up to the symbols, padded to 8 bytes.
    private const int SymbolsAt = (SizeField + HeaderSize + SectionCount * SectionSize + 7) & ~7;

    /// <summary>Bytes behind a kernel that ends at <paramref name="end"/>; 0 when the file has no usable symbol table.</summary>
    internal static ulong SizeBehind(in ElfImage image, ulong end)
    {
        if (!TryFind(image, out Elf64SectionHeader symbols, out Elf64SectionHeader strings))
        {
            return 0;
        }

        return Aligned(end) - end + StringsAt(symbols) + Aligned(strings.Size);
    }

    /// <summary>Copies the symbol table behind a kernel.</summary>
    /// <param name="image">The kernel.</param>
    /// <param name="pages">Where to.</param>
    /// <param name="end">Pseudo-physical address at which the kernel's segments end.</param>
    /// <param name="steps">Three steps, or none when the file has no usable symbol table.</param>
    /// <returns>Whether it is done.</returns>
    internal static bool TryLoad(in ElfImage image, in DomainPages pages, ulong end, ref StepProgress steps)
    {
        if (!TryFind(image, out Elf64SectionHeader symbols, out Elf64SectionHeader strings)
            || !image.TryGetBytes(symbols.Offset, symbols.Size, out ReadOnlySpan<byte> symbolBytes)
            || !image.TryGetBytes(strings.Offset, strings.Size, out ReadOnlySpan<byte> stringBytes)
            || !image.TryGetBytes(0, HeaderSize, out ReadOnlySpan<byte> headerBytes))
        {
            return true;
        }

        ulong start = Aligned(end);
        ulong stringsAt = StringsAt(symbols);
        if (!pages.TryWrite(start + SymbolsAt, symbolBytes, ref steps) || !pages.TryWrite(start + stringsAt, stringBytes, ref steps))
        {
            return false;
        }

        if (steps.TryEnter())
        {
            WriteHeaders(pages, start, stringsAt, MemoryMarshal.Read<Elf64Header>(headerBytes), symbols, strings);
            steps.Leave();
        }

        return true;
    }

    private static void WriteHeaders(
        in DomainPages pages, ulong start, ulong stringsAt, Elf64Header header, Elf64SectionHeader symbols, Elf64SectionHeader strings)
    {
        symbols.Offset = SymbolsAt - SizeField;
        symbols.Link = 2;
        strings.Offset = stringsAt - SizeField;
        header.HeaderSize = HeaderSize;
        header.Version = 1;
        header.ProgramHeaderOffset = 0;
        header.ProgramHeaderSize = 0;
        header.ProgramHeaderCount = 0;
        header.SectionHeaderOffset = HeaderSize;
        header.SectionHeaderSize = SectionSize;
        header.SectionHeaderCount = SectionCount;
        header.SectionNames = 0;
        pages.WriteValue(start, (uint)(stringsAt + strings.Size - SizeField));
        pages.WriteValue(start + SizeField, header);
        pages.WriteValue(start + SizeField + HeaderSize + SectionSize, symbols);
        pages.WriteValue(start + SizeField + HeaderSize + 2 * SectionSize, strings);
    }

    private static bool TryFind(in ElfImage image, out Elf64SectionHeader symbols, out Elf64SectionHeader strings)
    {
        symbols = default;
        strings = default;
        for (int i = 1; i < image.SectionCount; i++)
        {
            if (image.TryGetSection(i, out symbols) && symbols.Type == Elf64.SectionSymbols)
            {
                return image.TryGetSection((int)Math.Min(symbols.Link, int.MaxValue), out strings)
                    && strings.Type == Elf64.SectionStrings
                    && image.TryGetBytes(symbols.Offset, symbols.Size, out _)
                    && image.TryGetBytes(strings.Offset, strings.Size, out _);
            }
        }

        return false;
    }

    private static ulong StringsAt(in Elf64SectionHeader symbols) => Aligned(SymbolsAt + symbols.Size);

    private static ulong Aligned(ulong value) => unchecked(value + 7) & ~7UL;
}
