using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Blanket.Lab.Kernels;

/// <summary>Loads a guest's kernel from a bzImage or an ELF file, compressed or not, and checks that it can run paravirtualized.</summary>
public static class GuestKernel
{
    private const ushort ExecutableType = 2;
    private const ushort SharedType = 3;

    // Types of notes of the owner "Xen" (public/elfnote.h).
    private const uint EntryNote = 1;
    private const uint XenVersionNote = 5;
    private const uint LoaderNote = 8;
    private const uint PvhEntryNote = 18;
    private const string XenOwner = "Xen";

    /// <summary>Where notes were before there were notes: a section with a text of KEY=VALUE pairs.</summary>
    private const string LegacySection = "__xen_guest";

    /// <summary>Reads a kernel.</summary>
    /// <returns>An ELF file.</returns>
    /// <exception cref="KernelException">The file is no kernel that Blanket can run; the message starts with the path.</exception>
    public static async Task<byte[]> LoadAsync(string path, CancellationToken cancellation = default)
    {
        try
        {
            byte[] elf = await ExtractAsync(await File.ReadAllBytesAsync(path, cancellation).ConfigureAwait(false), cancellation).ConfigureAwait(false);
            RequireParavirtual(ElfFile.Parse(elf));
            return elf;
        }
        catch (KernelException e)
        {
            throw new KernelException($"{path} {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KernelException($"{path} cannot be read ({e.Message})");
        }
    }

    /// <summary>The ELF file in a kernel file.</summary>
    /// <exception cref="KernelException">There is none.</exception>
    public static async Task<byte[]> ExtractAsync(ReadOnlyMemory<byte> file, CancellationToken cancellation = default)
    {
        if (ElfFile.HasMagic(file.Span))
        {
            return file.ToArray();
        }

        if (BzImage.IsBzImage(file.Span))
        {
            return await BzImage.ExtractAsync(file, cancellation).ConfigureAwait(false);
        }

        if (Compression.Recognise(file.Span) is Compression compression)
        {
            return await compression.DecompressAsync(file, cancellation).ConfigureAwait(false);
        }

        throw new KernelException("is not a kernel, expected a bzImage or an ELF file, compressed or not");
    }

    /// <summary>Checks that a kernel has the notes of a 64-bit Xen PV guest.</summary>
    /// <exception cref="KernelException">It has not.</exception>
    public static void RequireParavirtual(ElfFile kernel)
    {
        if (kernel.Type is not (ExecutableType or SharedType) || !kernel.Segments.Any(segment => segment.Type == ElfFile.LoadSegment))
        {
            throw new KernelException("is not an executable: it has nothing to load");
        }

        foreach (ElfSegment segment in kernel.Segments.Where(segment => segment.Type == ElfFile.LoadSegment))
        {
            RequireLoadable(kernel, segment);
        }

        HashSet<uint> notes = [.. kernel.Notes().Where(note => note.Owner == XenOwner).Select(note => note.Type)];
        bool isXenAware = notes.Contains(EntryNote) || notes.Contains(XenVersionNote) || notes.Contains(LoaderNote)
            || kernel.Sections.Any(section => section.Name == LegacySection);

        // Without an entry note the ELF entry counts (public/elfnote.h); in a Linux without PV that is the native one,
        // and its PVH entry gives it away.
        bool isPvhOnly = notes.Contains(PvhEntryNote) && !notes.Contains(EntryNote);
        if (!isXenAware || isPvhOnly)
        {
            throw new KernelException(isPvhOnly
                ? "can start as a PVH guest only, expected a kernel built for Xen PV (Linux: CONFIG_XEN_PV)"
                : "has no Xen notes, expected a kernel built for Xen PV (Linux: CONFIG_XEN_PV)");
        }
    }

    private static void RequireLoadable(ElfFile kernel, ElfSegment segment)
    {
        if (kernel.Content(segment).Length > 0 && segment.FileSize > segment.MemorySize)
        {
            throw new KernelException("is damaged: a segment is larger in the file than in memory");
        }
    }
}
