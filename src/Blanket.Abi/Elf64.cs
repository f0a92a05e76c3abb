using System.Runtime.InteropServices;

namespace Blanket.Abi;

/// <summary>Values of the 64-bit ELF format that a domain builder meets (System V ABI, "Object Files").</summary>
public static class Elf64
{
    /// <summary>0x7f 'E' 'L' 'F', as a little-endian word.</summary>
    public const uint Magic = 0x464c457f;

    /// <summary>ELFCLASS64 in <see cref="Elf64Header.Class"/>.</summary>
    public const byte Class64 = 2;

    /// <summary>ELFDATA2LSB in <see cref="Elf64Header.Encoding"/>.</summary>
    public const byte LittleEndian = 1;

    /// <summary>EM_X86_64.</summary>
    public const ushort MachineX8664 = 62;

    /// <summary>PT_LOAD.</summary>
    public const uint ProgramLoad = 1;

    /// <summary>PT_NOTE.</summary>
    public const uint ProgramNote = 4;

    /// <summary>PF_X | PF_W | PF_R.</summary>
    public const uint ProgramAccessMask = 7;

    /// <summary>SHT_SYMTAB.</summary>
    public const uint SectionSymbols = 2;

    /// <summary>SHT_STRTAB.</summary>
    public const uint SectionStrings = 3;

    /// <summary>SHT_NOTE.</summary>
    public const uint SectionNote = 7;
}

/// <summary>Elf64_Ehdr.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64Header
{
    /// <summary><see cref="Elf64.Magic"/>.</summary>
    public uint Magic;
    public byte Class;
    public byte Encoding;
    public byte IdentVersion;
    public byte OsAbi;
    public ulong IdentPadding;
    public ushort Type;
    public ushort Machine;
    public uint Version;
    public ulong Entry;

    /// <summary>File offset of the program headers.</summary>
    public ulong ProgramHeaderOffset;

    /// <summary>File offset of the section headers.</summary>
    public ulong SectionHeaderOffset;
    public uint Flags;
    public ushort HeaderSize;
    public ushort ProgramHeaderSize;
    public ushort ProgramHeaderCount;
    public ushort SectionHeaderSize;
    public ushort SectionHeaderCount;

    /// <summary>Index of the section that holds the section names.</summary>
    public ushort SectionNames;
}

/// <summary>Elf64_Phdr.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64ProgramHeader
{
    public uint Type;
    public uint Flags;
    public ulong Offset;
    public ulong VirtualAddress;
    public ulong PhysicalAddress;
    public ulong FileSize;
    public ulong MemorySize;
    public ulong Alignment;
}

/// <summary>Elf64_Shdr.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Elf64SectionHeader
{
    public uint Name;
    public uint Type;
    public ulong Flags;
    public ulong Address;
    public ulong Offset;
    public ulong Size;
    public uint Link;
    public uint Info;
    public ulong Alignment;
    public ulong EntrySize;
}
