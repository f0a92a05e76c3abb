using System;
using System.Buffers.Binary;
using Blanket.Abi;
using Blanket.Abi.Xen;

namespace Blanket.Core.Building;

/// <summary>Reads the ELF notes named "Xen" (elfnote.h) of a kernel.</summary>
internal static class XenNotes
{
    // A note starts with the sizes of name and descriptor and its type, 32 bits each; both parts are padded to 4 bytes.
    private const int NoteHeaderSize = 12;
    private const int MaximumNotes = 1024;

    /// <summary>Reads the notes of all note segments or, when these have none of Xen's, of all note sections.</summary>
    /// <param name="found">Number of Xen notes.</param>
    internal static BuildStatus Read(in ElfImage image, ref KernelParameters parameters, out int found)
    {
        int budget = MaximumNotes;
        found = 0;
        for (int i = 0; i < image.SegmentCount; i++)
        {
            // An offset of 0 is what some linkers write for a note segment without contents.
            if (!image.TryGetSegment(i, out Elf64ProgramHeader segment))
            {
                return BuildStatus.BrokenElf;
            }

            if (segment.Type == Elf64.ProgramNote && segment.Offset != 0
                && !ReadRange(image, segment.Offset, segment.FileSize, ref parameters, ref budget, ref found))
            {
                return BuildStatus.BrokenElf;
            }
        }

        return found != 0 ? BuildStatus.Ok : ReadSections(image, ref parameters, ref budget, ref found);
    }

    private static BuildStatus ReadSections(in ElfImage image, ref KernelParameters parameters, ref int budget, ref int found)
    {
        for (int i = 1; i < image.SectionCount; i++)
        {
            if (!image.TryGetSection(i, out Elf64SectionHeader section)
                || (section.Type == Elf64.SectionNote
                    && !ReadRange(image, section.Offset, section.Size, ref parameters, ref budget, ref found)))
            {
                return BuildStatus.BrokenElf;
            }
        }

        return BuildStatus.Ok;
    }

    private static bool ReadRange(
        in ElfImage image, ulong offset, ulong size, ref KernelParameters parameters, ref int budget, ref int found)
    {
        if (!image.TryGetBytes(offset, size, out ReadOnlySpan<byte> notes))
        {
            return false;
        }

        while (notes.Length >= NoteHeaderSize)
        {
            ulong nameSize = BinaryPrimitives.ReadUInt32LittleEndian(notes);
            ulong descriptorSize = BinaryPrimitives.ReadUInt32LittleEndian(notes.Slice(4));
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(notes.Slice(8));
            ulong descriptorAt = NoteHeaderSize + Padded(nameSize);
            if (budget-- == 0 || descriptorAt + descriptorSize > (ulong)notes.Length)
            {
                return false;
            }

            if (nameSize == 4 && notes.Slice(NoteHeaderSize, 4).SequenceEqual("Xen\0"u8))
            {
                Take(type, notes.Slice((int)descriptorAt, (int)descriptorSize), ref parameters);
                found++;
            }

            // The padding of the last note may be missing.
            notes = notes.Slice((int)Math.Min(descriptorAt + Padded(descriptorSize), (ulong)notes.Length));
        }

        return true;
    }

    private static void Take(uint type, ReadOnlySpan<byte> descriptor, ref KernelParameters parameters)
    {
        switch (type)
        {
            case ElfNote.Entry:
                parameters.Entry = Number(descriptor);
                break;
            case ElfNote.HypercallPage:
                parameters.HypercallPage = Number(descriptor);
                break;
            case ElfNote.VirtualBase:
                parameters.VirtualBase = Number(descriptor);
                break;
            case ElfNote.PhysicalOffset:
                parameters.PhysicalOffset = Number(descriptor);
                break;
            case ElfNote.XenVersion:
                parameters.IsForXen30 = Text(descriptor).StartsWith("xen-3.0"u8);
                break;
            case ElfNote.GuestOs:
                parameters.IsLinux = Text(descriptor).StartsWith("linux"u8);
                break;
            case ElfNote.Loader:
                parameters.IsGeneric = Text(descriptor).StartsWith("generic"u8);
                break;
            case ElfNote.Features:
                KernelFeatures.Parse(Text(descriptor), ref parameters);
                break;
            case ElfNote.SupportedFeatures:
                parameters.SupportedFeatures |= unchecked((uint)Number(descriptor));
                break;
            case ElfNote.BsdSymbolTable:
                parameters.WantsSymbols = Text(descriptor).SequenceEqual("yes"u8);
                break;
            case ElfNote.HypervisorStartLow:
                parameters.HypervisorStartLow = Number(descriptor);
                break;
            case ElfNote.InitialP2M:
                parameters.InitialP2M = Number(descriptor);
                break;
            case ElfNote.ModuleStartPfn:
                parameters.TakesUnmappedRamdisk = Number(descriptor) != 0;
                break;
            default:
                // PAE_MODE and PHYS32_ENTRY are for other kinds of guests, L1_MFN_VALID and SUSPEND_CANCEL for save and
                // restore; unknown ones are ignored so that kernels can be newer than this loader.
                break;
        }
    }

    private static ulong Padded(ulong size) => (size + 3) & ~3UL;

    // Numbers are 1, 2, 4 or 8 bytes; 0 for anything else, as Xen's loader has it.
    private static ulong Number(ReadOnlySpan<byte> descriptor) => descriptor.Length switch
    {
        1 => descriptor[0],
        2 => BinaryPrimitives.ReadUInt16LittleEndian(descriptor),
        4 => BinaryPrimitives.ReadUInt32LittleEndian(descriptor),
        8 => BinaryPrimitives.ReadUInt64LittleEndian(descriptor),
        _ => 0,
    };

    private static ReadOnlySpan<byte> Text(ReadOnlySpan<byte> descriptor)
    {
        int end = descriptor.IndexOf((byte)0);
        return end < 0 ? descriptor : descriptor.Slice(0, end);
    }
}
